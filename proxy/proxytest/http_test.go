package proxytest

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
)

// app starts an HTTP server and returns its address.
func app(t testing.TB, h http.HandlerFunc) netip.AddrPort {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return addr(s.Listener)
}

func addr(l net.Listener) netip.AddrPort { return netip.MustParseAddrPort(l.Addr().String()) }

// pair is a client's and a server's proxy with an application behind them.
func pair(t testing.TB, h http.HandlerFunc) (url string, client, server *Workload) {
	t.Helper()
	ca := NewCA(t)
	server = New(t, ca, ID("api"), Options{})
	client = New(t, ca, ID("web"), Options{})
	in := server.Before(app(t, h))
	c := client.Cluster("api", Meshed(in, ID("api")))
	_, out := client.Destination("api:80", config.HTTP, Share{c, 1})
	return "http://" + out.String(), client, server
}

// browser is a client with connections of its own.
func browser(t testing.TB) *http.Client {
	tr := &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func get(t testing.TB, url string) (int, string, http.Header) {
	t.Helper()
	return do(t, "GET", url, nil)
}

func do(t testing.TB, method, url string, body io.Reader) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b), r.Header
}

func TestRequestTravels(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q client=%s", r.Method, r.URL, r.Host, b, r.Header.Get("l5d-client-id"))
	})
	for range 3 {
		code, body, _ := get(t, url+"/a?b=c")
		want := fmt.Sprintf("GET /a?b=c %s %q client=web.default.serviceaccount.identity.weft-system.cluster.local", url[len("http://"):], "")
		if code != 200 || body != want {
			t.Fatalf("got %d %s, want %s", code, body, want)
		}
	}
}

func TestBodies(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		fmt.Fprint(w, n)
		w.Header().Set("X-Sum", fmt.Sprintf("%x", h.Sum(nil)))
	})
	client := browser(t)
	for _, size := range []int{0, 1, 1000, 31 << 10, 33 << 10, 70 << 10, 5 << 20} {
		for _, chunked := range []bool{false, true} {
			data := make([]byte, size)
			rand.Read(data)
			var body io.Reader = bytes.NewReader(data)
			if chunked {
				body = struct{ io.Reader }{body} // hides the length
			}
			r, err := client.Post(url, "application/octet-stream", body)
			if err != nil {
				t.Fatal(size, chunked, err)
			}
			got, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil || string(got) != fmt.Sprint(size) {
				t.Fatalf("%d chunked=%t: got %q, %v", size, chunked, got, err)
			}
			if want := fmt.Sprintf("%x", sha256.Sum256(data)); r.Trailer.Get("X-Sum") != want {
				t.Fatalf("%d chunked=%t: trailer %q, want %s", size, chunked, r.Trailer.Get("X-Sum"), want)
			}
		}
	}
}

func TestLargeResponses(t *testing.T) {
	data := make([]byte, 7<<20)
	rand.Read(data)
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		}
		w.Write(data)
	})
	for _, path := range []string{"/length", "/chunked"} {
		if _, body, _ := get(t, url+path); !bytes.Equal([]byte(body), data) {
			t.Fatalf("%s: %d bytes arrived changed", path, len(body))
		}
	}
}

func TestResponsesWithoutBody(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "12345")
		}
	})
	client := browser(t)
	for _, c := range []struct {
		method, path string
		code         int
		length       string
	}{{"HEAD", "/", 200, "12345"}, {"GET", "/204", 204, ""}, {"GET", "/304", 304, ""}, {"HEAD", "/", 200, "12345"}} {
		req, _ := http.NewRequest(c.method, url+c.path, nil)
		r, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != c.code || len(b) != 0 || r.Header.Get("Content-Length") != c.length {
			t.Errorf("%s %s: got %d, %d bytes, length %q, %v", c.method, c.path, r.StatusCode, len(b), r.Header.Get("Content-Length"), err)
		}
	}
}

func TestStreamingResponseIsNotHeldBack(t *testing.T) {
	next := make(chan struct{})
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintf(w, "event %d\n", i)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	r, err := browser(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	in := bufio.NewScanner(r.Body)
	for i := range 3 {
		if !in.Scan() || in.Text() != fmt.Sprintf("event %d", i) {
			t.Fatalf("event %d: got %q, %v", i, in.Text(), in.Err())
		}
		next <- struct{}{}
	}
}

func TestStreamingRequestIsNotHeldBack(t *testing.T) {
	seen := make(chan string)
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		in := bufio.NewScanner(r.Body)
		for in.Scan() {
			seen <- in.Text()
		}
		close(seen)
	})
	out, in := io.Pipe()
	go func() {
		for i := range 3 {
			fmt.Fprintf(in, "line %d\n", i)
			if got := <-seen; got != fmt.Sprintf("line %d", i) {
				t.Errorf("line %d: the application read %q", i, got)
			}
		}
		in.Close()
	}()
	if code, _, _ := do(t, "POST", url, out); code != 200 {
		t.Fatal(code)
	}
}

func TestExpectContinue(t *testing.T) {
	var read atomic.Int64
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(417)
			return
		}
		n, _ := io.Copy(io.Discard, r.Body)
		read.Add(n)
	})
	c := dial(t, url)
	for _, n := range []int{5, 100 << 10} {
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", n)
		if line := c.line(); line != "HTTP/1.1 100 Continue" {
			t.Fatalf("before the body of %d: %q", n, line)
		}
		c.line()
		io.WriteString(c, strings.Repeat("x", n))
		if r := c.response("POST"); r.StatusCode != 200 || r.Close {
			t.Fatalf("%s, close=%t", r.Status, r.Close)
		}
	}
	if read.Load() != 5+100<<10 {
		t.Errorf("the application read %d bytes", read.Load())
	}
	fmt.Fprintf(c, "POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	if r := c.response("POST"); r.StatusCode != 417 || !r.Close {
		t.Fatalf("refused expectation: %s, close=%t", r.Status, r.Close)
	}
}

func TestEarlyResponse(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(413) // without reading
		io.WriteString(w, "too much")
	})
	c := dial(t, url)
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", 1<<30)
	c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	go func() {
		block := make([]byte, 64<<10)
		for {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
	}()
	if r := c.response("POST"); r.StatusCode != 413 {
		t.Fatal(r.Status)
	}
}

func TestPipelining(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	c := dial(t, url)
	for i := range 10 {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	for i := range 10 {
		r := c.response("GET")
		if b, _ := io.ReadAll(r.Body); string(b) != fmt.Sprintf("/%d", i) {
			t.Fatalf("answer %d is to %s", i, b)
		}
	}
}

func TestHTTP10(t *testing.T) {
	url, _, _ := pair(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "one ")
		w.(http.Flusher).Flush() // chunks, which HTTP/1.0 does not know
		io.WriteString(w, "two")
	})
	c := dial(t, url)
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	b, err := io.ReadAll(c.in)
	if err != nil || !strings.HasSuffix(string(b), "\r\n\r\none two") || strings.Contains(strings.ToLower(string(b)), "chunked") {
		t.Fatalf("%q, %v", b, err)
	}
}

func TestConcurrentRequests(t *testing.T) {
	url, client, server := pair(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	b := browser(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				want := fmt.Sprintf("%d/%d", i, j)
				r, err := b.Post(url, "text/plain", strings.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				got, _ := io.ReadAll(r.Body)
				r.Body.Close()
				if string(got) != want {
					t.Errorf("got %q, want %q", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, w := range []*Workload{client, server} {
		waittest.Until(t, "nothing is carried", func() bool { return w.Activity.Carried() == 0 })
	}
}

// wire is a raw connection.
type wire struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func dial(t testing.TB, to string) *wire {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(to, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return newWire(t, c)
}

func newWire(t testing.TB, c net.Conn) *wire { return &wire{c, t, bufio.NewReader(c)} }

func (w *wire) line() string {
	w.t.Helper()
	l, err := w.in.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimRight(l, "\r\n")
}

func (w *wire) response(method string) *http.Response {
	w.t.Helper()
	r, err := http.ReadResponse(w.in, &http.Request{Method: method})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}
