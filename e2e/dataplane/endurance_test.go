package dataplane

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// companion is a well-behaved client: one connection, one request after the
// other, at a pace.
type companion struct {
	to   string
	stop chan struct{}
	done chan struct{}
	mu   sync.Mutex
	took []time.Duration
	err  error
}

const pace = 5 * time.Millisecond

func accompany(to string) *companion {
	c := &companion{to: to, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = c.run()
	}()
	return c
}

func (c *companion) run() error {
	var d net.Dialer
	nc, err := d.DialContext(context.Background(), "tcp", c.to)
	if err != nil {
		return err
	}
	defer nc.Close()
	w := &client{TCPConn: nc.(*net.TCPConn), r: bufio.NewReader(nc)}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return nil
		case <-tick.C:
		}
		began := time.Now()
		nc.SetDeadline(began.Add(patience))
		id := fmt.Sprintf("/companion-%d", i)
		if _, err := fmt.Fprintf(w, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", id); err != nil {
			return err
		}
		m, err := w.response("POST")
		if err != nil || m.status() != 200 || m.body != "POST "+id+" HTTP/1.1 hi" {
			return fmt.Errorf("%s: %q %q, %w", id, m.line, m.body, err)
		}
		c.mu.Lock()
		c.took = append(c.took, time.Since(began))
		c.mu.Unlock()
	}
}

func (c *companion) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.took)
}

// end stops the client and returns its median and its 99th percentile.
func (c *companion) end(t testing.TB) (median, high time.Duration) {
	t.Helper()
	close(c.stop)
	<-c.done
	if c.err != nil {
		t.Errorf("the well-behaved client is harmed: %v", c.err)
	}
	if len(c.took) == 0 {
		t.Fatal("the well-behaved client was never answered")
	}
	slices.Sort(c.took)
	return c.took[len(c.took)/2], c.took[len(c.took)*99/100]
}

// beside runs abuse while a well-behaved client goes on, and compares it with
// what the client had before. The bounds leave room for a machine that does
// other things as well: harm shows as failure, or as a median that is that of a
// queue.
func beside(t *testing.T, to string, abuse func()) {
	t.Helper()
	first := accompany(to)
	eventually(t, "a baseline", func() error {
		if n := first.count(); n < 100 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	base, baseHigh := first.end(t)
	c := accompany(to)
	abuse()
	eventually(t, "the well-behaved client goes on", func() error {
		if n := c.count(); n < 50 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	median, high := c.end(t)
	t.Logf("alone: median %v, p99 %v; beside: median %v, p99 %v, %d requests", base, baseHigh, median, high, len(c.took))
	if limit := 20*base + 100*time.Millisecond; median > limit {
		t.Errorf("beside it the well-behaved client's median is %v, alone it was %v; limit %v", median, base, limit)
	}
}

// endless is an application for the tests of endurance: /never does not answer,
// /endless never ends, /bytes?n sends n bytes, /sum counts what it is sent, all
// else is answered with the request.
type endless struct {
	*rawApp
	two     string
	sent    atomic.Int64 // bytes of /endless
	waiting atomic.Int64 // requests that are not answered
	turns   sync.Map     // values of X-Turn that came
}

func newEndless(t testing.TB) *endless {
	e := &endless{rawApp: newApp(t)}
	block := []byte(strings.Repeat("0123456789abcdef", 4<<10))
	e.handle(func(x *exchange) bool {
		if turn := x.get("x-turn"); len(turn) == 1 {
			e.turns.Store(turn[0], true)
		}
		_, rest, _ := strings.Cut(x.line, " ")
		path, _, _ := strings.Cut(rest, " ")
		path, query, _ := strings.Cut(path, "?")
		switch path {
		case "/never":
			e.waiting.Add(1)
			_, err := x.r.ReadByte() // until it is cut
			e.waiting.Add(-1)
			return err == nil
		case "/endless":
			x.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
			for {
				n, err := x.c.Write(block)
				e.sent.Add(int64(n))
				if err != nil {
					return false
				}
			}
		case "/bytes":
			n, _ := strconv.ParseInt(query, 10, 64)
			x.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n))
			for n > 0 {
				m, err := x.c.Write(block[:min(n, int64(len(block)))])
				if err != nil {
					return false
				}
				n -= int64(m)
			}
			return true
		case "/sum":
			n, _ := strconv.ParseInt(x.get("content-length")[0], 10, 64)
			if _, err := io.CopyN(io.Discard, x.r, n); err != nil {
				return false
			}
			return x.write(okBody(strconv.FormatInt(n, 10))) == nil
		}
		return echoPath(x)
	})
	e.two = rawH2App(t, nil, func(c *h2conn, f http2.Frame) {
		m, ok := f.(*http2.MetaHeadersFrame)
		if !ok {
			return
		}
		if m.PseudoValue("path") == "/never" {
			return
		}
		c.head(m.StreamID, false, ":status", "200")
		c.data(m.StreamID, true, m.PseudoValue("path"))
	})
	return e
}

// bounded checks that a sidecar has not grown by more than room bytes. The race
// detector multiplies memory.
func bounded(t *testing.T, what string, before int64, s *sidecar, room int64) {
	t.Helper()
	now := s.rss()
	t.Logf("%s: %.1f MiB, before %.1f", what, float64(now)/(1<<20), float64(before)/(1<<20))
	if raced {
		room *= 8
	}
	if now-before > room {
		t.Errorf("%s has grown from %d to %d MiB, by more than %d", what, before>>20, now>>20, room>>20)
	}
}

func size(small, whole int) int {
	if *full {
		return whole
	}
	return small
}

// crowd opens n connections, a few at a time.
func crowd(t testing.TB, to string, n int, each func(i int, c *net.TCPConn) error) []*net.TCPConn {
	t.Helper()
	conns := make([]*net.TCPConn, n)
	var wg sync.WaitGroup
	var next atomic.Int64
	var failed atomic.Pointer[error]
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				var d net.Dialer
				c, err := d.DialContext(context.Background(), "tcp", to)
				if err == nil {
					conns[i] = c.(*net.TCPConn)
					c.SetDeadline(time.Now().Add(patience))
					err = each(i, conns[i])
				}
				if err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Cleanup(func() { disperse(conns) })
	if e := failed.Load(); e != nil {
		t.Fatal(*e)
	}
	return conns
}

func disperse(conns []*net.TCPConn) {
	for _, c := range conns {
		if c != nil {
			c.Close()
		}
	}
}

// request sends one request on a connection and wants its own answer.
func request(c *net.TCPConn, id string) error {
	c.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", id); err != nil {
		return err
	}
	w := &client{TCPConn: c, r: bufio.NewReaderSize(c, 512)}
	m, err := w.response("GET")
	if err != nil || m.body != "GET "+id+" HTTP/1.1 " {
		return fmt.Errorf("%s is answered %q %q, %w", id, m.line, m.body, err)
	}
	return nil
}

func TestIdleConnections(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	must(t, firstRequest(p.to[0]))
	at, before := usageOf(p), p.out.rss()
	n := size(2000, 10000)
	descriptors(t, n+1000) // the client's ends, and as many of the proxy's
	beside(t, p.to[0], func() {
		conns := crowd(t, p.to[0], n, func(i int, c *net.TCPConn) error { return request(c, fmt.Sprintf("/%d", i)) })
		// An idle connection costs its goroutine and its descriptor, no buffer.
		bounded(t, fmt.Sprintf("outbound with %d idle connections", n), before, p.out, 8<<20+int64(n)*16<<10)
		for i := range 200 {
			must(t, request(conns[rand.IntN(n)], fmt.Sprintf("/again-%d", i)))
		}
		disperse(conns)
	})
	at.settled(t, p, pooled)
}

func firstRequest(to string) error {
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	return request(c.(*net.TCPConn), "/first")
}

// TestManyStreams sends 100,000 requests over one connection of HTTP/2.
func TestManyStreams(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http2", app: app.two}, port{protocol: "http", app: app.addr})
	const window = 64
	n := size(20000, 100000)
	c := dialH2(t, p.to[0])
	beside(t, p.to[1], func() {
		for i := range uint32(window) {
			c.get(2*i+1, fmt.Sprintf("/%d", 2*i+1))
		}
		bodies := map[uint32]string{}
		next, done := uint32(2*window+1), 0
		quarter, at := 0, [2]int64{}
		for done < n {
			c.nc.SetDeadline(time.Now().Add(patience))
			f, err := c.fr.ReadFrame()
			must(t, err)
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					_ = c.fr.WriteSettingsAck()
				}
			case *http2.PingFrame:
				if !f.IsAck() {
					_ = c.fr.WritePing(true, f.Data)
				}
			case *http2.GoAwayFrame, *http2.RSTStreamFrame:
				t.Fatalf("after %d streams: %v", done, f)
			case *http2.MetaHeadersFrame:
				if f.PseudoValue("status") != "200" {
					t.Fatalf("stream %d is answered %s", f.StreamID, f.PseudoValue("status"))
				}
			case *http2.DataFrame:
				bodies[f.StreamID] += string(f.Data())
				if k := uint32(len(f.Data())); k > 0 {
					_ = c.fr.WriteWindowUpdate(0, k)
				}
				if !f.StreamEnded() {
					continue
				}
				if got, want := bodies[f.StreamID], fmt.Sprintf("/%d", f.StreamID); got != want {
					t.Fatalf("stream %d is answered %q", f.StreamID, got)
				}
				delete(bodies, f.StreamID)
				if done++; done == n/4 {
					quarter, at = done, [2]int64{p.in.rss(), p.out.rss()}
				}
				if next < uint32(2*n) {
					c.get(next, fmt.Sprintf("/%d", next))
					next += 2
				}
			}
		}
		bounded(t, fmt.Sprintf("inbound from stream %d to %d", quarter, n), at[0], p.in, 16<<20)
		bounded(t, fmt.Sprintf("outbound from stream %d to %d", quarter, n), at[1], p.out, 16<<20)
	})
}

// TestClientsThatDoNotRead: what they do not take stays at the application.
func TestClientsThatDoNotRead(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	must(t, firstRequest(p.to[0]))
	at, before := usageOf(p), [2]int64{p.in.rss(), p.out.rss()}
	const n = 20
	beside(t, p.to[0], func() {
		conns := crowd(t, p.to[0], n, func(_ int, c *net.TCPConn) error {
			c.SetReadBuffer(4 << 10)
			_, err := io.WriteString(c, "GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
			return err
		})
		// Wait until nothing moves any more.
		last, still := int64(-1), 0
		eventually(t, "the application can send no more", func() error {
			now := app.sent.Load()
			if now != last || now == 0 {
				last, still = now, 0
			} else {
				still++
			}
			if still < 50 {
				return fmt.Errorf("%d MiB are sent", now>>20)
			}
			return nil
		})
		t.Logf("%d clients take %.1f MiB from the application", n, float64(last)/(1<<20))
		bounded(t, "outbound", before[1], p.out, 40<<20)
		bounded(t, "inbound", before[0], p.in, 40<<20)
		// Others still get whole responses over the same way.
		for i := range 3 {
			c := dial(t, p.to[0])
			c.send("GET /bytes?3000000 HTTP/1.1\r\nHost: a\r\n\r\n")
			if m := c.want("GET", 200); len(m.body) != 3000000 {
				t.Errorf("response %d has %d bytes", i, len(m.body))
			}
		}
		disperse(conns)
	})
	at.settled(t, p, pooled)
}

// TestServerThatNeverAnswers holds its own clients only.
func TestServerThatNeverAnswers(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	must(t, firstRequest(p.to[0]))
	at := usageOf(p)
	const n = 600 // more than fit into one connection of HTTP/2
	beside(t, p.to[0], func() {
		conns := crowd(t, p.to[0], n, func(_ int, c *net.TCPConn) error {
			_, err := io.WriteString(c, "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
			return err
		})
		eventually(t, "all wait at the application", func() error {
			if k := app.waiting.Load(); k != n {
				return fmt.Errorf("%d", k)
			}
			return nil
		})
		for _, c := range conns {
			// A client that closes in order may only have closed its half; one that
			// resets has certainly left.
			c.SetLinger(0)
		}
		disperse(conns)
		eventually(t, "the application learns that all have left", func() error {
			if k := app.waiting.Load(); k > 0 {
				return fmt.Errorf("%d wait", k)
			}
			return nil
		})
	})
	at.settled(t, p, pooled)
}

// TestClientsThatCloseInOrder: a FIN before the response begins ends the request.
func TestClientsThatCloseInOrder(t *testing.T) {
	app := newEndless(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	must(t, firstRequest(p.to[0]))
	at := usageOf(p)
	disperse(crowd(t, p.to[0], 50, func(_ int, c *net.TCPConn) error {
		_, err := io.WriteString(c, "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
		return err
	}))
	for end := time.Now().Add(20 * time.Second); app.waiting.Load() > 0 || app.open() > 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests of clients that have left are still at the application", app.waiting.Load())
		}
	}
	at.settled(t, p, pooled)
}

// TestLongStream carries 10 GiB (a part of it by default) each way over one
// request, and as bytes.
func TestLongStream(t *testing.T) {
	app := newEndless(t)
	echo := listen(t, func(c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c)
		fmt.Fprint(c, n)
	})
	p := newPair(t, port{protocol: "http", app: app.addr}, port{protocol: "tcp", app: echo})
	must(t, firstRequest(p.to[0]))
	before := [2]int64{p.in.rss(), p.out.rss()}
	n := int64(size(192<<20, 10<<30))
	if raced {
		n /= 4
	}
	block := make([]byte, 256<<10)
	send := func(c net.Conn) {
		for left := n; left > 0; {
			m, err := c.Write(block[:min(left, int64(len(block)))])
			if err != nil {
				return
			}
			left -= int64(m)
		}
	}
	beside(t, p.to[0], func() {
		began := time.Now()
		c := dial(t, p.to[0])
		c.SetDeadline(farFuture())
		c.send(fmt.Sprintf("GET /bytes?%d HTTP/1.1\r\nHost: a\r\n\r\n", n))
		if m, err := readHead(c.r); err != nil || m.status() != 200 {
			t.Fatal(m, err)
		}
		if got, err := io.CopyN(io.Discard, c.r, n); err != nil {
			t.Fatalf("%d of %d bytes, %v", got, n, err)
		}
		down := time.Since(began)
		c.send(fmt.Sprintf("POST /sum HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", n))
		go send(c)
		if m := c.want("POST", 200); m.body != strconv.FormatInt(n, 10) {
			t.Errorf("the application read %s bytes of %d", m.body, n)
		}
		up := time.Since(began) - down
		raw := dial(t, p.to[1])
		raw.SetDeadline(farFuture())
		go func() {
			send(raw)
			raw.CloseWrite()
		}()
		if b, err := io.ReadAll(raw.r); err != nil || string(b) != strconv.FormatInt(n, 10) {
			t.Errorf("bytes: %s of %d, %v", b, n, err)
		}
		mib := float64(n) / (1 << 20)
		t.Logf("%.0f MiB down in %v, up in %v, as bytes in %v", mib, down.Round(time.Millisecond), up.Round(time.Millisecond), (time.Since(began) - down - up).Round(time.Millisecond))
		bounded(t, "outbound", before[1], p.out, 32<<20)
		bounded(t, "inbound", before[0], p.in, 32<<20)
	})
}
