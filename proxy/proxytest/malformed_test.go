package proxytest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weftmesh/weft/proxy/config"
)

// ways are those to an application: from the client's proxy alone, and through
// the application's too.
func ways(t *testing.T, at netip.AddrPort, do func(t *testing.T, to netip.AddrPort)) {
	ca := NewCA(t)
	api, web := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
	_, direct := web.Destination("direct:80", config.HTTP, Share{web.Cluster("direct", Plain(at)), 1})
	_, hop := web.Destination("hop:80", config.HTTP, Share{web.Cluster("hop", Meshed(api.Before(at), ID("api"))), 1})
	t.Run("direct", func(t *testing.T) { do(t, direct) })
	t.Run("hop", func(t *testing.T) { do(t, hop) })
}

// What cannot be understood is answered at once, as soon as it can be known, and
// not asked for again.
func TestResponsesThatCannotBeUnderstood(t *testing.T) {
	for _, c := range []struct {
		name, says string
		began      bool // the head is good: where nothing of it was passed on it is replaced
	}{
		{"never HTTP", "SSH-2.0-x\r\n", false},
		{"never HTTP, without a line's end", "* OK", false},
		{"another version", "HTTP/2", false},
		{"no number", "HTTP/1.1 2x", false},
		{"a number that goes on", "HTTP/1.1 2000", false},
		{"malformed status line", "HTTP/1.1 200OK\r\n\r\n", false},
		{"malformed field", "HTTP/1.1 200 OK\r\na b\r\n\r\n", false},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", false},
		{"never HTTP after an interim one", "HTTP/1.1 103 Early Hints\r\n\r\nSSH", false},
		{"forbidden trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nContent-Length: 2\r\n\r\n", true},
		{"malformed chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			at := server(t, func(s *net.TCPConn) {
				for in := bufio.NewReader(s); ; {
					if _, err := http.ReadRequest(in); err != nil {
						return
					}
					asked.Add(1)
					io.WriteString(s, c.says)
				}
			})
			ways(t, at, func(t *testing.T, to netip.AddrPort) {
				asked.Store(0)
				w := dial(t, to.String())
				fmt.Fprint(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				r := w.response("GET")
				for r.StatusCode == 103 {
					r = w.response("GET")
				}
				body, err := io.ReadAll(r.Body)
				switch {
				case asked.Load() != 1:
					t.Errorf("asked %d times", asked.Load())
				case r.StatusCode == 502 && err == nil && strings.Contains(string(body), "cannot be understood"):
				case !c.began || r.StatusCode != 200 || err == nil:
					t.Errorf("%s %q %v", r.Status, body, err)
				}
			})
		})
	}
}

// The same of an application that speaks HTTP/2.
func TestHTTP2ResponsesThatCannotBeUnderstood(t *testing.T) {
	block := func(pairs ...string) []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		for i := 0; i < len(pairs); i += 2 {
			e.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
		}
		return b.Bytes()
	}
	for _, c := range []struct {
		name   string
		blocks [][]byte // of the head, and of the trailers
	}{
		{"upper case", [][]byte{block(":status", "200", "X-Up", "a")}},
		{"no status", [][]byte{block("a", "b")}},
		{"101", [][]byte{block(":status", "101")}},
		{"connection field", [][]byte{block(":status", "200", "connection", "close")}},
		{"line end in a value", [][]byte{block(":status", "200", "a", "b\r\nc: d")}},
		{"two lengths", [][]byte{block(":status", "200", "content-length", "1", "content-length", "2")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			at := server(t, func(s *net.TCPConn) {
				io.ReadFull(s, make([]byte, len(http2.ClientPreface)))
				f := http2.NewFramer(s, s)
				f.WriteSettings()
				for {
					got, err := f.ReadFrame()
					if err != nil {
						return
					}
					switch got := got.(type) {
					case *http2.SettingsFrame:
						if !got.IsAck() {
							f.WriteSettingsAck()
						}
					case *http2.HeadersFrame:
						asked.Add(1)
						for i, b := range c.blocks {
							f.WriteHeaders(http2.HeadersFrameParam{StreamID: got.StreamID, BlockFragment: b, EndHeaders: true, EndStream: i > 0})
						}
					}
				}
			})
			ways(t, at, func(t *testing.T, to netip.AddrPort) {
				asked.Store(0)
				r, err := h2client(t).Get("http://" + to.String())
				if err != nil {
					t.Fatal(err)
				}
				defer r.Body.Close()
				if body, _ := io.ReadAll(r.Body); r.StatusCode != 502 || !strings.Contains(string(body), "cannot be understood") || asked.Load() != 1 {
					t.Errorf("%s %q after %d requests", r.Status, body, asked.Load())
				}
			})
		})
	}
}

// What an application has said before it dies is passed on, and then that it was
// not all.
func TestWhatWasSaidBeforeTheEnd(t *testing.T) {
	for _, head := range []string{"Content-Length: 20\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"} {
		at := server(t, func(s *net.TCPConn) {
			if _, err := http.ReadRequest(bufio.NewReader(s)); err == nil {
				io.WriteString(s, "HTTP/1.1 200 OK\r\n"+head)
			}
		})
		ways(t, at, func(t *testing.T, to netip.AddrPort) {
			for range 50 {
				w := dial(t, to.String())
				fmt.Fprint(w, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
				r := w.response("POST")
				if body, err := io.ReadAll(r.Body); string(body) != "abc" || err == nil || r.StatusCode != 200 {
					t.Fatalf("%s %q %v", r.Status, body, err)
				}
			}
		})
	}
}

// Interim responses that a client has had are not given to it again with another
// try.
func TestInterimResponsesOfAnotherTry(t *testing.T) {
	var asked atomic.Int64
	at := server(t, func(s *net.TCPConn) {
		for in := bufio.NewReader(s); ; {
			if _, err := http.ReadRequest(in); err != nil {
				return
			}
			io.WriteString(s, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
			if asked.Add(1)%2 == 1 {
				return
			}
			io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	ways(t, at, func(t *testing.T, to netip.AddrPort) {
		asked.Store(0)
		w := dial(t, to.String())
		fmt.Fprint(w, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		hints := 0
		r := w.response("GET")
		for ; r.StatusCode == 103; r = w.response("GET") {
			hints++
		}
		if r.StatusCode != 200 || hints != 1 || asked.Load() != 2 {
			t.Errorf("%s behind %d interim responses of %d tries", r.Status, hints, asked.Load())
		}
	})
}

// A request that ends too early is told so, wherever it ends.
func TestIncompleteRequests(t *testing.T) {
	at := server(t, func(s *net.TCPConn) { io.Copy(io.Discard, s) })
	ways(t, at, func(t *testing.T, to netip.AddrPort) {
		for _, says := range []string{
			"GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nA: b",
		} {
			w := dial(t, to.String())
			fmt.Fprint(w, says)
			w.Conn.(*net.TCPConn).CloseWrite()
			r, err := http.ReadResponse(w.in, nil)
			if err != nil {
				t.Errorf("%q: %v", says, err)
				continue
			}
			if body, err := io.ReadAll(r.Body); r.StatusCode != 400 || !r.Close || err != nil {
				t.Errorf("%q: %s %q %v", says, r.Status, body, err)
			}
			if _, err := w.in.ReadByte(); err != io.EOF {
				t.Errorf("%q: afterwards %v", says, err)
			}
		}
	})
}
