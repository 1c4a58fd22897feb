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
	go func() { _ = c.run() }() // the streams fail with its error
	return &Client{c}
}

// Open sends a request's head and returns its stream, which is to be closed.
// end says that no body follows. ErrBusy, ErrExtendedConnect and
// ErrHeadTooLarge mean that nothing was sent. Open waits only for an extended
// CONNECT, until the peer's first SETTINGS.
func (cl *Client) Open(r *http.Request, end bool) (*Stream, error) {
	c := cl.c
	if len(r.Protocol) > 0 {
		<-c.ready
	}
	c.mu.Lock()
	defer c.unlock()
	if !c.canOpen() {
		return nil, ErrBusy
	}
	if len(r.Protocol) > 0 && !c.peer.extendedConnect {
		return nil, ErrExtendedConnect
	}
	size := len(r.Method) + len(r.Scheme) + len(r.Authority) + len(r.Target) + len(r.Protocol) + 5*42 + headSize(r.Fields)
	if uint64(size) > uint64(c.peer.headerList) {
		return nil, ErrHeadTooLarge
	}
	s := c.newStream(c.nextOwn)
	c.nextOwn += 2
	s.headSent = true
	s.head, s.connect = string(r.Method) == "HEAD", string(r.Method) == "CONNECT"
	c.encodeRequest(r)
	s.sendBlock(end)
	return s, nil
}

// canOpen is CanOpen; mu is held.
func (c *mux) canOpen() bool {
	return !c.ended && !c.draining && !c.peerAway && uint64(len(c.streams)) < uint64(c.peer.maxStreams) && c.nextOwn < maxWindow
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
	return len(cl.c.streams)
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
