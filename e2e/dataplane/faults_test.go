package dataplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// register is an application that counts how often each request was executed,
// and answers with the request's own name.
type register struct {
	mu   sync.Mutex
	done map[string]int
}

func (g *register) count(id string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.done[id]
}

func (g *register) execute(id string) {
	g.mu.Lock()
	g.done[id]++
	g.mu.Unlock()
}

// newRegister serves HTTP/1 and HTTP/2 on one port each.
func newRegister(t testing.TB) (g *register, one, two string) {
	g = &register{done: map[string]int{}}
	a := newApp(t)
	a.handle(func(x *exchange) bool {
		_, rest, _ := strings.Cut(x.line, " ")
		id, _, _ := strings.Cut(rest, " ")
		if x.readBody() != nil {
			return false
		}
		g.execute(id)
		if strings.HasPrefix(id, "/long") {
			return x.write(okBody(strings.Repeat(id+"\n", longLines))) == nil
		}
		return x.write(okBody(id)) == nil
	})
	two = rawH2App(t, nil, func(c *h2conn, f http2.Frame) {
		m, ok := f.(*http2.MetaHeadersFrame)
		if !ok {
			return
		}
		id := m.PseudoValue("path")
		g.execute(id)
		c.head(m.StreamID, false, ":status", "200", "x-id", id)
		c.data(m.StreamID, true, id)
	})
	return g, a.addr, two
}

const longLines = 3000

// result is how one request ended for its client.
type result struct {
	id, method string
	status     int // 0: without an answer
	body       string
	err        error
}

var ids atomic.Int64

// ask sends requests on one connection of HTTP/1, the next when the last is
// answered, for as long as it lives.
func ask(to string, limit time.Duration, methods ...string) (out []result) {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return []result{{err: err}}
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(limit))
	c := &client{TCPConn: nc.(*net.TCPConn), r: bufio.NewReader(nc)}
	for _, method := range methods {
		r := result{id: "/" + strconv.FormatInt(ids.Add(1), 10), method: method}
		body := ""
		if method == "POST" {
			body = "content of " + r.id
		}
		if _, r.err = fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", method, r.id, len(body), body); r.err == nil {
			var m *message
			if m, r.err = c.response(method); r.err == nil {
				r.status, r.body = m.status(), m.body
			}
		}
		if out = append(out, r); r.err != nil {
			return out
		}
	}
	return out
}

// ask2 sends n requests at once on one connection of HTTP/2.
func ask2(t testing.TB, to string, limit time.Duration, n int) []result {
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		return []result{{err: err}}
	}
	defer nc.Close()
	c := newH2(t, nc)
	nc.SetDeadline(time.Now().Add(limit))
	c.bytes(http2.ClientPreface)
	_ = c.fr.WriteSettings()
	out := make([]result, n)
	for i := range out {
		out[i] = result{id: "/" + strconv.FormatInt(ids.Add(1), 10), method: "POST", err: io.ErrUnexpectedEOF}
		c.post(uint32(2*i+1), out[i].id)
		c.data(uint32(2*i+1), true, "content")
	}
	for left := n; left > 0; {
		f, err := c.fr.ReadFrame()
		if err != nil {
			for i := range out {
				if out[i].err != nil {
					out[i].err = err
				}
			}
			return out
		}
		i := int(f.Header().StreamID-1) / 2
		end := false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = c.fr.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			if out[i].status == 0 {
				out[i].status, _ = strconv.Atoi(f.PseudoValue("status"))
			}
			end = f.StreamEnded()
		case *http2.DataFrame:
			out[i].body += string(f.Data())
			end = f.StreamEnded()
		case *http2.RSTStreamFrame:
			out[i].status, out[i].err = 0, fmt.Errorf("%v", f)
			left--
		}
		if end {
			out[i].err = nil
			left--
		}
	}
	return out
}

// verdict judges results: an answer is of its own request and whole, an error
// comes in time, and no POST is executed twice. Where all is set, each must have
// succeeded.
func (g *register) verdict(t *testing.T, what string, all bool, results ...result) (good int) {
	t.Helper()
	for _, r := range results {
		var ne net.Error
		switch {
		case errors.As(r.err, &ne) && ne.Timeout():
			t.Errorf("%s: %s %s hangs", what, r.method, r.id)
		case r.status == 200 && r.err == nil:
			good++
			if r.body != r.id {
				t.Errorf("%s: %s is answered %.60q", what, r.id, r.body)
			}
			if r.method == "POST" && g.count(r.id) != 1 {
				t.Errorf("%s: POST %s succeeded and was executed %d times", what, r.id, g.count(r.id))
			}
		case r.err != nil: // cut off, which its client sees
		case r.status < 500 && r.status != 400 && r.status != 408:
			t.Errorf("%s: %s is answered %d", what, r.id, r.status)
		}
		if r.method == "POST" && g.count(r.id) > 1 {
			t.Errorf("%s: POST %s was executed %d times", what, r.id, g.count(r.id))
		}
		if all && (r.err != nil || r.status != 200) {
			t.Errorf("%s: %s %s: %d %q, %v", what, r.method, r.id, r.status, r.body, r.err)
		}
	}
	return good
}

// faulty is a pair with a middlebox at every socket. Port 0 is HTTP/1, 1 is
// HTTP/2.
type faulty struct {
	*register
	*pair
	// boxes stand before the outbound sidecar, before the inbound one, and before
	// the application; the index is that of the port.
	client, hop, app [2]*middlebox
}

func newFaulty(t *testing.T) *faulty {
	f := &faulty{}
	var one, two string
	f.register, one, two = newRegister(t)
	f.app = [2]*middlebox{newMiddlebox(t, one), newMiddlebox(t, two)}
	f.pair = newPair(t, port{protocol: "http", app: f.app[0].addr, hop: hop(t, &f.hop[0])}, port{protocol: "http2", app: f.app[1].addr, hop: hop(t, &f.hop[1])})
	for i := range f.client {
		f.client[i] = newMiddlebox(t, f.to[i])
	}
	return f
}

func (f *faulty) boxes() [][2]*middlebox { return [][2]*middlebox{f.client, f.hop, f.app} }

var places = []string{"client and sidecar", "two sidecars", "sidecar and application"}

// load sends a few requests at once in both protocols.
func (f *faulty) load(t *testing.T, limit time.Duration) []result {
	var mu sync.Mutex
	var all []result
	var wg sync.WaitGroup
	add := func(r []result) {
		mu.Lock()
		all = append(all, r...)
		mu.Unlock()
	}
	for range 3 {
		wg.Go(func() { add(ask(f.client[0].addr, limit, "POST", "GET", "POST")) })
	}
	wg.Go(func() { add(ask2(t, f.client[1].addr, limit, 4)) })
	wg.Wait()
	return all
}

// whole checks that the pair serves as if nothing had been, and holds nothing.
func (f *faulty) whole(t *testing.T, at usage) {
	t.Helper()
	for _, place := range f.boxes() {
		for _, m := range place {
			m.always(smooth)
		}
	}
	// A connection that was cut may be noticed by a request that cannot be tried
	// again; so the first may fail.
	eventually(t, "requests succeed again", func() error {
		for _, r := range f.load(t, patience) {
			if r.err != nil || r.status != 200 {
				return fmt.Errorf("%s: %d, %v", r.id, r.status, r.err)
			}
		}
		return nil
	})
	for _, place := range f.boxes() {
		for _, m := range place {
			m.cutAll()
		}
	}
	at.settled(t, f.pair, 12)
}

// usage is what a pair holds.
type usage struct{ in, out [2]int }

func held(s *sidecar) [2]int {
	n, _ := s.metric("go_goroutines")
	return [2]int{s.fds(), int(n)}
}

// usageOf is taken when nothing is under way.
func usageOf(p *pair) usage { return usage{held(p.in), held(p.out)} }

// pooled is room for connections that are kept for later: the endurance tests
// have 32 clients at once.
const pooled = 150

// settled waits until the pair holds no more than then, with room for what is
// kept for later.
func (u usage) settled(t *testing.T, p *pair, room int) {
	t.Helper()
	var wrong error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if wrong = u.exceeded(usageOf(p), room); wrong == nil {
			return
		}
	}
	t.Errorf("not within %v: what was used is given back: %v", patience, wrong)
	for _, s := range []*sidecar{p.in, p.out} { // what holds it
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.done
		log := s.log.String()
		t.Logf("%s:\n%.20000s", s.name, log[max(0, strings.Index(log, "SIGQUIT")):])
	}
	t.FailNow()
}

func (u usage) exceeded(now usage, room int) error {
	for i, what := range []string{"descriptors", "goroutines"} {
		if now.in[i] > u.in[i]+room || now.out[i] > u.out[i]+room {
			return fmt.Errorf("%s: inbound %d, before %d; outbound %d, before %d", what, now.in[i], u.in[i], now.out[i], u.out[i])
		}
	}
	return nil
}

// TestSlowWires: pieces of one byte, delays and the smallest buffers at every
// socket change nothing but time.
func TestSlowWires(t *testing.T) {
	f := newFaulty(t)
	at := usageOf(f.pair)
	for i, place := range f.boxes() {
		for _, k := range []struct {
			name string
			fate fate
		}{
			{"bytes", fate{piece: 1, reset: -1, stop: -1, end: -1}},
			{"pieces and delays", fate{piece: 100, delay: time.Millisecond, reset: -1, stop: -1, end: -1}},
			{"small buffers", fate{small: true, reset: -1, stop: -1, end: -1}},
			// As acknowledgements that are delayed, of windows that are soon full.
			{"late reads", fate{piece: 1400, delay: 40 * time.Millisecond, small: true, reset: -1, stop: -1, end: -1}},
		} {
			t.Run(places[i]+"/"+k.name, func(t *testing.T) {
				for _, m := range place {
					m.always(k.fate)
				}
				eventually(t, "the sidecars have noticed", func() error { // that the connections before are gone
					for _, r := range f.load(t, patience) {
						if r.status != 200 {
							return fmt.Errorf("%+v", r)
						}
					}
					return nil
				})
				f.verdict(t, k.name, true, f.load(t, patience)...)
				long := dial(t, f.client[0].addr)
				id := fmt.Sprintf("/long%d", ids.Add(1))
				long.send("GET " + id + " HTTP/1.1\r\nHost: a\r\n\r\n")
				if m := long.want("GET", 200); m.body != strings.Repeat(id+"\n", longLines) {
					t.Errorf("%d bytes arrived changed", len(m.body))
				}
				for _, m := range place {
					m.always(smooth)
				}
			})
		}
	}
	f.whole(t, at)
}

// TestResets cuts connections at one byte after the other of what is sent over
// them, at every socket and in both directions.
func TestResets(t *testing.T) {
	faults(t, func(n int, back bool) fate { return fate{back: back, reset: n, stop: -1, end: -1} })
}

// TestHalfCloses closes one direction at one byte after the other.
func TestHalfCloses(t *testing.T) {
	faults(t, func(n int, back bool) fate { return fate{back: back, reset: -1, stop: -1, end: n} })
}

func faults(t *testing.T, at func(n int, back bool) fate) {
	f := newFaulty(t)
	before := usageOf(f.pair)
	for i, place := range f.boxes() {
		for _, back := range []bool{false, true} {
			way := "there"
			if back {
				way = "back"
			}
			t.Run(places[i]+"/"+way, func(t *testing.T) {
				for _, m := range place {
					m.always(smooth)
				}
				// All bytes where there are few, as on the sides without TLS.
				last, step := 700, 7
				if i == 1 {
					last, step = 6000, 61
				}
				if *full {
					step = 1
				} else if raced {
					step *= 3
				}
				// In an order that spreads, so that a slow machine tries fewer of all.
				var offsets []int
				for _, r := range []int{0, 2, 1, 3} {
					for n := r * step; n <= last; n += 4 * step {
						offsets = append(offsets, n)
					}
				}
				cases, met, good := 0, 0, 0
				slowest, began := time.Duration(0), time.Now()
				for _, n := range offsets {
					if took := time.Since(began); !*full && (cases >= 15 && took > 4*time.Second || took > 12*time.Second) {
						break
					}
					start := time.Now()
					for _, m := range place {
						m.expect(at(n, back), at(n/2, back))
					}
					// What a half-close holds is waited for for so long.
					release := time.AfterFunc(time.Second, func() {
						for _, m := range place {
							m.cutAll()
						}
					})
					good += f.verdict(t, fmt.Sprintf("at byte %d", n), false, f.load(t, patience)...)
					release.Stop()
					cases++
					slowest = max(slowest, time.Since(start))
					for _, m := range place {
						met += m.happened()
					}
					if t.Failed() {
						return
					}
				}
				t.Logf("%d of %d offsets, %d faults came about, %d requests succeeded nevertheless; the slowest case took %v", cases, len(offsets), met, good, slowest.Round(time.Millisecond))
				if met == 0 {
					t.Error("no fault came about")
				}
			})
		}
	}
	f.whole(t, before)
}

// TestStalls: a connection on which nothing moves any more holds its own
// requests only, and whatever it holds is given back when its client leaves.
func TestStalls(t *testing.T) {
	f := newFaulty(t)
	before := usageOf(f.pair)
	stop := func(n int, back bool) fate { return fate{back: back, reset: -1, stop: n, end: -1} }
	for i, place := range f.boxes() {
		for _, back := range []bool{false, true} {
			for _, n := range []int{0, 30, 600} {
				for _, m := range place {
					m.expect(stop(n, back), stop(n, back))
				}
				for _, r := range f.load(t, 700*time.Millisecond) {
					if r.status == 200 && r.err == nil && r.body != r.id {
						t.Errorf("%s at %d: %s is answered %q", places[i], n, r.id, r.body)
					}
					if r.method == "POST" && f.count(r.id) > 1 {
						t.Errorf("%s at %d: POST %s was executed %d times", places[i], n, r.id, f.count(r.id))
					}
				}
				for _, m := range place {
					m.always(smooth)
				}
			}
		}
	}
	f.whole(t, before)
}
