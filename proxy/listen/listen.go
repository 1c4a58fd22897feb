package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
)

// backoffMax is the longest pause after the system has refused an accept.
const backoffMax = time.Second

// keepAlive finds peers that vanished without a word.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}

// Accepted is a new connection.
type Accepted struct {
	Conn *conn.Conn
	// Original is where the client wanted to go: the destination before the
	// redirect, or the local address where there was none.
	Original netip.AddrPort
	// Redirected tells whether Original differs from the local address.
	Redirected bool
}

// Handler serves one connection; the connection is closed when it returns. ctx
// ends when the listener is closed.
type Handler func(ctx context.Context, a Accepted)

// Listener accepts connections until it is drained or closed.
type Listener struct {
	ln  net.Listener
	log *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	stop     sync.Once
	draining chan struct{}

	mu      sync.Mutex
	conns   map[*conn.Conn]struct{}
	serving int
	idle    chan struct{} // closed when serving falls to 0 while draining
}

// Listen opens a TCP address such as ":4143".
func Listen(ctx context.Context, address string, log *slog.Logger) (*Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: keepAlive}
	ln, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return New(ln, log), nil
}

// New takes a listener that exists already.
func New(ln net.Listener, log *slog.Logger) *Listener {
	l := &Listener{ln: ln, log: log, draining: make(chan struct{}), conns: map[*conn.Conn]struct{}{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Addr is the local address.
func (l *Listener) Addr() netip.AddrPort {
	t, ok := l.ln.Addr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// Serve runs h on a goroutine for each connection until the listener stops
// accepting; it then returns nil. Running out of descriptors or memory is
// waited out.
func (l *Listener) Serve(h Handler) error {
	pause := time.Duration(0)
	for {
		nc, err := l.ln.Accept()
		if err != nil {
			if l.stopped() {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("listen on %s: %w", l.ln.Addr(), err)
			}
			pause = min(max(2*pause, 5*time.Millisecond), backoffMax)
			l.log.Warn("cannot accept", "address", l.ln.Addr().String(), "error", err, "retry", pause)
			select {
			case <-time.After(pause):
			case <-l.draining:
				return nil
			}
			continue
		}
		pause = 0
		c := conn.New(nc)
		if !l.add(c) {
			c.Abort()
			return nil
		}
		go l.serve(h, c)
	}
}

func (l *Listener) serve(h Handler, c *conn.Conn) {
	defer l.remove(c)
	if a := l.accepted(c); a.Conn != nil {
		h(l.ctx, a)
	}
}

// accepted finds out where the connection was made to; without a connection it
// was refused. It is not part of serve, whose stack lasts as long as the
// connection does.
//
//go:noinline
func (l *Listener) accepted(c *conn.Conn) Accepted {
	a := Accepted{Conn: c, Original: c.Local()}
	if t := c.Raw(); t != nil {
		original, err := OriginalDst(t)
		switch {
		case err == nil:
			a.Original, a.Redirected = original, true
		case !errors.Is(err, ErrNotRedirected):
			// Without its destination a connection could go anywhere.
			l.log.Warn("connection refused", "client", c.Remote().String(), "error", err)
			c.Abort()
			return Accepted{}
		}
	}
	return a
}

func (l *Listener) add(c *conn.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	l.conns[c] = struct{}{}
	l.serving++
	return true
}

func (l *Listener) remove(c *conn.Conn) {
	_ = c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
	if l.serving--; l.serving == 0 && l.idle != nil {
		close(l.idle)
		l.idle = nil
	}
}

func (l *Listener) stopped() bool {
	select {
	case <-l.draining:
		return true
	default:
		return false
	}
}

// StopAccepting closes the listening socket; connections live on.
func (l *Listener) StopAccepting() {
	l.stop.Do(func() {
		close(l.draining)
		_ = l.ln.Close()
	})
}

// Draining is closed when no new connection is accepted any more: handlers then
// end theirs at the next good moment.
func (l *Listener) Draining() <-chan struct{} { return l.draining }

// Active is the number of connections being served.
func (l *Listener) Active() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.serving
}

// Drain stops accepting and waits for the handlers. When ctx ends first, the
// remaining connections are aborted and ctx's error is returned.
func (l *Listener) Drain(ctx context.Context) error {
	l.StopAccepting()
	select {
	case <-l.empty():
		l.cancel()
		return nil
	case <-ctx.Done():
		_ = l.Close()
		return context.Cause(ctx)
	}
}

// Close stops accepting, aborts all connections and waits for their handlers.
func (l *Listener) Close() error {
	l.StopAccepting()
	l.mu.Lock()
	l.cancel()
	for c := range l.conns {
		c.Abort()
	}
	l.mu.Unlock()
	<-l.empty()
	return nil
}

// empty is closed as soon as no handler runs.
func (l *Listener) empty() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.serving == 0 {
		done := make(chan struct{})
		close(done)
		return done
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	return l.idle
}
