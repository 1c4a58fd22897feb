package dataplane

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// TestSlowLoris: clients that send their heads as slowly as they can.
func TestSlowLoris(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http", app: app.addr}, port{app: app.addr})
	must(t, firstRequest(p.to[0]))
	at, before := usageOf(p), [2]int64{p.in.rss(), p.out.rss()}
	const rounds = 10
	n := size(666, 2000)
	if raced {
		n /= 4
	}
	room := 8<<20 + int64(n)*16<<10
	heads := []string{"GET /slow HTTP/1.1\r\nHost: a\r\nX-Slow: yes\r\n", http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\xff\xff\x01\x00\x00", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefghijklmnopqrstuvwxyz"}
	for _, victim := range []struct{ name, to, by string }{{"outbound", p.to[0], p.to[0]}, {"inbound", p.before[0], p.to[0]}, {"detected", p.to[1], p.to[1]}} {
		t.Run(victim.name, func(t *testing.T) {
			beside(t, victim.by, func() {
				conns := crowd(t, victim.to, n, func(int, *net.TCPConn) error { return nil })
				for r := range rounds {
					for i, c := range conns {
						first := 4
						h := heads[i%len(heads)]
						if victim.name == "detected" && i%len(heads) == 0 {
							first = strings.IndexByte(h, '\n') + 1 // what tells HTTP/1
						}
						piece := h[:first]
						if r > 0 {
							piece = h[first+2*r-2 : first+2*r]
						}
						c.SetDeadline(time.Now().Add(patience))
						_, _ = io.WriteString(c, piece) // those that were cut do no harm
					}
				}
				bounded(t, "outbound", before[1], p.out, room)
				bounded(t, "inbound", before[0], p.in, room)
				if *full {
					slow := conns
					if victim.name == "detected" {
						slow = carriedAsBytes(t, app, conns, len(heads))
					}
					cutWithin(t, slow, 90*time.Second)
				}
				disperse(conns)
			})
		})
	}
	at.settled(t, p, pooled)
}

// carriedAsBytes divides clients of a port whose protocol is detected. A request
// line tells HTTP/1, and its heads are limited in time: those clients are returned.
// The beginning of a preface tells nothing, and after a second it is carried as it
// is; TLS of the application's own is carried anyway. To end these is the
// application's business, as without a proxy.
func carriedAsBytes(t *testing.T, app *endless, conns []*net.TCPConn, kinds int) (http []*net.TCPConn) {
	t.Helper()
	var opaque []*net.TCPConn
	for i, c := range conns {
		if i%kinds == 0 {
			http = append(http, c)
		} else {
			opaque = append(opaque, c)
		}
	}
	eventually(t, "the application has what is no HTTP", func() error {
		if n := app.open(); n < len(opaque) {
			return fmt.Errorf("%d connections of %d", n, len(opaque))
		}
		return nil
	})
	for _, c := range opaque {
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		var ne net.Error
		if _, err := io.Copy(io.Discard, c); !errors.As(err, &ne) || !ne.Timeout() {
			t.Fatalf("a connection without HTTP was ended by the proxy: %v", err)
		}
	}
	return http
}

// descriptors wants as many to be allowed; a proxy is allowed what the test is.
func descriptors(t *testing.T, n int) {
	t.Helper()
	var l syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
	if l.Cur < uint64(n) {
		t.Fatalf("%d descriptors are needed, %d are allowed: ulimit -Hn", n, l.Cur)
	}
}

// cutWithin waits until the proxy has ended every connection.
func cutWithin(t *testing.T, conns []*net.TCPConn, limit time.Duration) {
	end := time.Now().Add(limit)
	var open atomic.Int64
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			c.SetDeadline(end)
			_, err := io.Copy(io.Discard, c)
			var ne net.Error
			if errors.As(err, &ne) && ne.Timeout() {
				open.Add(1)
			}
		})
	}
	wg.Wait()
	if n := open.Load(); n > 0 {
		t.Errorf("%d connections are still open after %v", n, limit)
	}
}
