package proxytest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
)

// counter passes connections on to an address and counts them.
type counter struct{ opened, ended atomic.Int64 }

func (n *counter) before(t testing.TB, to netip.AddrPort) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to.String())
			if err != nil {
				a.Close()
				continue
			}
			n.opened.Add(1)
			go func() {
				var both sync.WaitGroup
				both.Go(func() { io.Copy(b, a); b.(*net.TCPConn).CloseWrite() })
				both.Go(func() { io.Copy(a, b); a.(*net.TCPConn).CloseWrite() })
				both.Wait()
				a.Close()
				b.Close()
				n.ended.Add(1)
			}()
		}
	}()
	return addr(l)
}

// Connections between two proxies end with the certificates that they were made
// with, whosever these are, and no request notices.
func TestConnectionsEndWithTheirCertificates(t *testing.T) {
	const look = 20 * time.Millisecond
	for name, short := range map[string][2]bool{"the server's": {true, false}, "the client's": {false, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := NewCA(t)
			life := func(short bool, name string) *Issuer {
				i := &Issuer{CA: ca, ID: ID(name)}
				if short {
					i.For = 6 * time.Second // at least a fifth of it is for the renewal
				}
				return i
			}
			server := New(t, ca, ID("api"), Options{Look: look, Issuer: life(short[0], "api")})
			client := New(t, ca, ID("web"), Options{Look: look, Issuer: life(short[1], "web")})
			var conns counter
			in := conns.before(t, server.Before(app(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })))
			_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(in, ID("api"))), 1})
			stop := make(chan struct{})
			var load sync.WaitGroup
			end := sync.OnceFunc(func() { close(stop); load.Wait() })
			defer end()
			var good atomic.Int64
			for range 4 {
				b := browser(t)
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						resp, err := b.Get("http://" + out.String() + "/")
						if err != nil || resp.StatusCode != 200 {
							t.Errorf("%v, %v", resp, err)
							return
						}
						resp.Body.Close()
						good.Add(1)
						time.Sleep(time.Millisecond) // the machine is others' too
					}
				})
			}
			for n := range int64(2) {
				waittest.Until(t, "a renewal, twice", func() bool { return conns.ended.Load() > n && conns.opened.Load() > n+1 || t.Failed() })
			}
			end()
			if good.Load() == 0 {
				t.Error("no request was made")
			}
		})
	}
}

// An idle connection of a peer whose certificate has expired ends, before it can
// carry another request.
func TestIdleConnectionsEndWithTrust(t *testing.T) {
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{Look: 20 * time.Millisecond})
	client := New(t, ca, ID("web"), Options{Issuer: &Issuer{CA: ca, ID: ID("web"), For: 3 * time.Second}})
	in := server.Before(app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method) }))
	cfg, err := client.TLS.Client(ID("api"), alpn.HTTP1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := tls.Dial("tcp", in.String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	br := bufio.NewReader(c)
	for range 2 {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: api\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
}
