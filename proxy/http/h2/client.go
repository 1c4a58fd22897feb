package h2

import (
	"github.com/weftmesh/weft/proxy/http"
)

// Client is the client's side of one connection.
type Client struct{ c *mux }

// NewClient starts the client's side on a fresh connection. It is to be closed,
// or drained.
func NewClient(t Transport, o Options) *Client {
	c := newMux(t, o, true)
	c.greet()
	go func() {
		defer c.guard()
		_ = c.run() // the streams fail with its error
	}()
	return &Client{c}
}

// Open sends a request's head and returns its stream, which is to be closed or
// released. end says that no body follows. ErrBusy, ErrExtendedConnect,
// ErrNoBytes and ErrHeadTooLarge mean that nothing was sent. Open waits only for
// an extended CONNECT and for bytes, until the peer's first SETTINGS.
func (cl *Client) Open(r *http.Request, end bool) (*Stream, error) {
	s, _, err := cl.start(r, nil, end)
	return s, err
}

// OpenWith is Open, and Write or WriteEnd as far as the peer's windows take
// body at once: n is how much of it was queued. The end was sent if end is true
// and n is len(body).
func (cl *Client) OpenWith(r *http.Request, body []byte, end bool) (s *Stream, n int, err error) {
	return cl.start(r, body, end)
}

func (cl *Client) start(r *http.Request, body []byte, end bool) (s *Stream, n int, err error) {
	c := cl.c
	if len(r.Protocol) > 0 || r.Major == http.Bytes {
		<-c.ready
	}
	c.mu.Lock()
	defer c.unlock()
	if !c.canOpen() {
		return nil, 0, ErrBusy
	}
	if r.Major == http.Bytes && !c.peer.bytes {
		return nil, 0, ErrNoBytes
	}
	if len(r.Protocol) > 0 && !c.peer.extendedConnect {
		return nil, 0, ErrExtendedConnect
	}
	if c.tooLarge(len(r.Method)+len(r.Scheme)+len(r.Authority)+len(r.Target)+len(r.Protocol)+5*42, r.Fields) {
		return nil, 0, ErrHeadTooLarge
	}
	c.gauge()
	c.count.begin(&c.o, r.Major)
	s = c.takeStream(c.nextOwn)
	c.open.put(s)
	c.nextOwn += 2
	s.headSent, s.bytes = true, r.Major == http.Bytes
	s.head, s.connect = string(r.Method) == "HEAD", string(r.Method) == "CONNECT"
	at := c.beginHead()
	c.out = c.codec.appendRequest(c.out, r)
	alone := end && len(body) == 0
	c.endHead(at, s.id, alone)
	c.kick(!alone)
	if alone {
		s.ended()
		return s, 0, nil
	}
	for n < len(body) && s.send > 0 && c.sendAvail > 0 && len(c.out) < outLimit && !c.credit.before(s) {
		n += s.queue(body[n:], end)
	}
	return s, n, nil
}

// Load says how many streams are open, and whether Open would take another.
func (cl *Client) Load() (open int, ok bool) {
	cl.c.mu.Lock()
	defer cl.c.mu.Unlock()
	return cl.c.open.n, cl.c.canOpen()
}

// canOpen is CanOpen; mu is held.
func (c *mux) canOpen() bool {
	return !c.ended && !c.draining && !c.peerAway && !c.doubted() && uint64(c.open.n) < uint64(c.peer.maxStreams) && c.nextOwn < maxWindow && len(c.out) < openLimit
}

// CanOpen says whether Open would take a request now.
func (cl *Client) CanOpen() bool {
	cl.c.mu.Lock()
	defer cl.c.mu.Unlock()
	return cl.c.canOpen()
}

// Closing says that the connection will never take another stream: it has
// ended, is draining, or the peer is going away.
func (cl *Client) Closing() bool {
	c := cl.c
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended || c.draining || c.peerAway || c.nextOwn >= maxWindow
}

// Active is how many streams are open.
func (cl *Client) Active() int {
	cl.c.mu.Lock()
	defer cl.c.mu.Unlock()
	return cl.c.open.n
}

// Drain takes no new stream and closes once the last one is over.
func (cl *Client) Drain() { cl.c.drain() }

// Close ends the connection now; every stream fails with ErrClosed.
func (cl *Client) Close() { cl.c.closeNow() }

// Done is closed when the connection is over.
func (cl *Client) Done() <-chan struct{} { return cl.c.done }

// Err is why the connection ended; nil while it lives, and after an orderly end.
func (cl *Client) Err() error {
	cl.c.mu.Lock()
	defer cl.c.mu.Unlock()
	return cl.c.err
}

// closeNow tells the peer, if the transport takes it at once, and closes.
func (c *mux) closeNow() {
	c.mu.Lock()
	defer c.unlock()
	c.end(ErrClosed)
	c.after = append(c.after, c.close)
}
