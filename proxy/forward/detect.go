package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/sniff"
)

// ErrSilent means that nobody spoke first in time.
var ErrSilent = errors.New("neither side sent anything")

const (
	// raceAfter is how long a client may be silent before the server is asked
	// whether it speaks first; raceSoon where it did so before, raceLate where
	// clients of the destination spoke HTTP before.
	raceAfter = 100 * time.Millisecond
	raceSoon  = 5 * time.Millisecond
	raceLate  = 3 * time.Second
	// undecided is how long a client may take for bytes that tell the protocol,
	// once it has begun; afterwards they count as opaque.
	undecided = time.Second
	// afterRefusal is how long a silent client is waited for where the server
	// cannot be connected to.
	afterRefusal = 2 * time.Second
)

// Memory is what was learned of a destination; the zero value knows nothing.
type Memory struct{ verdict atomic.Uint32 }

const (
	unknown uint32 = iota
	clientFirst
	serverFirst
)

func (m *Memory) learn(v uint32) {
	if m.verdict.Load() != v {
		m.verdict.Store(v)
	}
}

// Copy takes over what another one has learned.
func (m *Memory) Copy(o *Memory) { m.verdict.Store(o.verdict.Load()) }

// ServerFirst says whether servers of the destination were seen to speak first.
func (m *Memory) ServerFirst() bool { return m.verdict.Load() == serverFirst }

// SpeaksFirst notes that clients of the destination do.
func (m *Memory) SpeaksFirst() { m.learn(clientFirst) }

// Detected is what a connection carries.
type Detected struct {
	Kind sniff.Kind
	// Flow is set where the race has connected already; Kind is not HTTP then.
	Flow *Flow
}

// Detect finds out what a client speaks by its first bytes. A client that is
// silent may be waiting for the server to speak: then connect is called, and
// whoever speaks first decides. A client that ends its side without a word may
// still listen, so that is opaque. connect nil means that the client must speak.
// limit bounds the whole; when both are silent until then, the connection
// counts as opaque.
func Detect(ctx context.Context, c *conn.Conn, m *Memory, limit time.Duration, connect func(context.Context) (*Flow, error)) (Detected, error) {
	end := time.Now().Add(limit)
	first := end
	if connect != nil {
		wait := raceAfter
		switch m.verdict.Load() {
		case serverFirst:
			wait = raceSoon
		case clientFirst:
			wait = raceLate
		}
		first = time.Now().Add(min(wait, limit))
	}
	defer c.SetReadDeadline(time.Time{})

	c.SetReadDeadline(first)
	kind, err := firstBytes(c, end)
	if err == nil {
		if kind == sniff.HTTP1 || kind == sniff.HTTP2 {
			m.learn(clientFirst)
		}
		return Detected{Kind: kind}, nil
	}
	switch {
	case errors.Is(err, io.EOF) && connect != nil:
		return Detected{Kind: sniff.Opaque}, nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return Detected{}, err
	case connect == nil:
		return Detected{}, ErrSilent
	}
	return race(ctx, c, m, end, connect)
}

// firstBytes reads until the protocol is known, or end. The read deadline that
// the caller has set bounds the wait for the first byte.
func firstBytes(c *conn.Conn, end time.Time) (sniff.Kind, error) {
	began := time.Time{}
	for {
		if b := c.Buffered(); len(b) > 0 {
			kind, more := sniff.Protocol(b)
			if !more {
				return kind, nil
			}
			if began.IsZero() {
				began = time.Now()
				if late := began.Add(undecided); late.Before(end) {
					end = late
				}
				c.SetReadDeadline(end)
			}
		}
		err := c.Fill()
		if err != nil && !began.IsZero() && len(c.Buffered()) > 0 {
			// It has begun, and stops or stalls: the bytes are carried as they are.
			return sniff.Opaque, nil
		}
		if err != nil {
			return sniff.Opaque, err
		}
	}
}

// racer connects and waits for the server's first byte.
type racer struct {
	client *conn.Conn
	flow   *Flow
	err    error
	spoke  bool   // or closed
	crash  string // it panicked
	done   chan struct{}
}

func race(ctx context.Context, c *conn.Conn, m *Memory, end time.Time, connect func(context.Context) (*Flow, error)) (Detected, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &racer{client: c, done: make(chan struct{})}
	c.SetReadDeadline(end)
	dial := make(chan struct{})
	go r.run(ctx, dial, m, connect)
	kind, err := firstBytes(c, end)
	if errors.Is(err, io.EOF) {
		err = nil // the client may still listen
	}
	select {
	case <-dial:
	default:
		cancel()
		<-dial
	}
	if r.flow != nil {
		r.flow.interrupt()
	}
	<-r.done
	if r.crash != "" {
		panic(r.crash) // for whoever serves the connection
	}
	switch {
	case r.spoke:
		if r.flow.hasWord() {
			m.learn(serverFirst)
		}
		r.flow.resume()
		if err != nil || kind != sniff.TLS {
			kind = sniff.Opaque
		}
		return Detected{Kind: kind, Flow: r.flow}, nil
	case r.flow != nil && errors.Is(err, os.ErrDeadlineExceeded):
		// Both are there and silent. Without the mesh nobody would cut that.
		r.flow.resume()
		return Detected{Kind: sniff.Opaque, Flow: r.flow}, nil
	case err != nil:
		if r.flow != nil {
			r.flow.Close()
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err = ErrSilent; r.err != nil {
				err = r.err
			}
		}
		return Detected{}, err
	case r.flow != nil && (kind == sniff.HTTP1 || kind == sniff.HTTP2):
		m.learn(clientFirst)
		r.flow.Close()
		r.flow = nil
	case r.flow != nil:
		r.flow.resume()
	}
	return Detected{Kind: kind, Flow: r.flow}, nil
}

func (r *racer) run(ctx context.Context, dialed chan struct{}, m *Memory, connect func(context.Context) (*Flow, error)) {
	defer close(r.done)
	connecting := true
	defer func() {
		if p := recover(); p != nil {
			r.crash = fmt.Sprintf("%v\n%s", p, debug.Stack())
			r.client.SetReadDeadline(time.Unix(1, 0))
			if connecting {
				close(dialed)
			}
		}
	}()
	r.flow, r.err = connect(ctx)
	connecting = false
	close(dialed)
	if r.err != nil {
		if ctx.Err() == nil && m.verdict.Load() != clientFirst {
			r.client.SetReadDeadline(time.Now().Add(afterRefusal))
		}
		return
	}
	err := r.flow.awaitWord()
	if !r.flow.hasWord() && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, h2.ErrInterrupted)) {
		return // the client was first
	}
	r.spoke = true // or closed without a word; so is the client told
	// Wake the client's side.
	r.client.SetReadDeadline(time.Unix(1, 0))
}
