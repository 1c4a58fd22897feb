package forward

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

const (
	// largePiece is how much comes at once where much is to be carried: there is
	// nothing left that other streams' bytes could be sent together with. In bytes.
	largePiece = 16 << 10
	// moveAfter is how many bytes come in such pieces before a flow is given a
	// connection of its own. It is about what the handshake costs.
	moveAfter = 1 << 20
	// moveWithin bounds what both sides say before it goes on there.
	moveWithin = 10 * time.Second
)

// The server's reply to a token.
const (
	moveRefused = iota
	moveAccepted
)

var (
	errNotMoved = errors.New("the connection that it goes on at did not come")
	errNotTaken = errors.New("the peer does not know the flow")
	goesOn      = []http.Field{{Name: []byte("weft-goes-on"), Value: []byte("1")}}
	flowName    = []byte("weft-flow")
)

// isGoesOn says whether the bytes of a stream go on elsewhere.
func isGoesOn(trailers []http.Field) bool {
	_, ok := http.Get(trailers, "weft-goes-on")
	return ok
}

// token names a flow of a server's proxy; zero is none.
type token [16]byte

func newToken() (t token) {
	_, _ = rand.Read(t[:]) // it never fails
	return t
}

// field is how the client's proxy hears of it.
func (t token) field() []http.Field {
	return []http.Field{{Name: flowName, Value: hex.AppendEncode(nil, t[:])}}
}

// read finds the token in a head.
func (t *token) read(fields []http.Field) {
	if v, ok := http.Get(fields, "weft-flow"); ok && len(v) == 2*len(t) {
		if _, err := hex.Decode(t[:], v); err != nil {
			*t = token{}
		}
	}
}

// weigh counts a piece, and has a flow of large ones go on elsewhere. That is
// for the client's side to begin.
func (r *relayed) weigh(n int) {
	if n < largePiece || r.flow == nil || r.large.Add(int64(n)) < moveAfter || r.flow.token == (token{}) || r.asked.Swap(true) {
		return
	}
	r.movers.Go(func() {
		own, err := r.flow.e.DialFlow(r.ctx)
		if err == nil {
			err = r.move(own)
		}
		if err != nil {
			r.stay()
			r.flow.d.Log.Debug("a connection stays on the shared one", "destination", r.flow.d.Destination, "error", err)
		}
	})
}

// move names the flow on own and has it go on there. After an error this side
// stays where it is. The peer may have gone there even so, which ends the flow as
// soon as it says anything there.
func (r *relayed) move(own *conn.Conn) (err error) {
	stop := context.AfterFunc(r.ctx, own.Abort)
	_ = own.SetReadDeadline(time.Now().Add(moveWithin))
	if _, err = own.Write(r.flow.token[:]); err == nil {
		err = own.Flush()
	}
	for err == nil && len(own.Buffered()) == 0 {
		err = own.Fill()
	}
	if !stop() && err == nil {
		err = context.Cause(r.ctx) // the flow is over
	}
	if err == nil && own.Buffered()[0] != moveAccepted {
		err = errNotTaken
	}
	if err != nil {
		own.Abort()
		return fmt.Errorf("%w: %w", errNotMoved, err)
	}
	own.Discard(1)
	_ = own.SetReadDeadline(time.Time{})
	if !r.goOn(own) {
		_ = own.Close()
	}
	return nil
}

// goOn has the bytes go on over own, if there is anything to go on.
func (r *relayed) goOn(own *conn.Conn) bool {
	own.SetDuplex()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done || r.settled {
		return false
	}
	r.own.Store(own)
	r.settle()
	return true
}

// stay has nothing go on elsewhere.
func (r *relayed) stay() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settle()
}

// settle says that nothing changes any more. mu is held.
func (r *relayed) settle() {
	if !r.settled {
		r.settled = true
		close(r.decided)
	}
}

// elsewhere waits for the connection that the peer has gone to.
func (r *relayed) elsewhere() (*conn.Conn, error) {
	limit := time.NewTimer(moveWithin)
	defer limit.Stop()
	select {
	case <-r.decided:
	case <-limit.C:
	}
	if own := r.own.Load(); own != nil {
		return own, nil
	}
	return nil, errNotMoved
}

// maxMoved is how many flows of one multiplexed connection go on elsewhere at the
// same time: each of them is still served where it began, and the others of the
// connection are to have room. What is above it stays.
const maxMoved = muxStreams

// Flows are those of a server's proxy that came multiplexed. The zero value has
// none.
type Flows struct {
	mu    sync.Mutex
	of    map[token]served
	moved map[*Downstream]int // by the connection that they began on
}

// served is one of them, and whose it is.
type served struct {
	r     *relayed
	peer  identity.ID
	to    netip.AddrPort
	on    *Downstream
	moved bool
}

func (f *Flows) add(t token, r *relayed, d *Downstream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of, f.moved = map[token]served{}, map[*Downstream]int{}
	}
	f.of[t] = served{r: r, peer: d.Peer, to: d.Destination, on: d}
}

func (f *Flows) remove(t token) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.of[t]
	delete(f.of, t)
	if !s.moved {
		return
	}
	if f.moved[s.on]--; f.moved[s.on] == 0 {
		delete(f.moved, s.on)
	}
}

// take finds the flow of a peer; it can go on elsewhere once.
func (f *Flows) take(t token, d *Downstream) *relayed {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.of[t]
	if !ok || s.moved || s.peer != d.Peer || s.to != d.Destination || f.moved[s.on] >= maxMoved {
		return nil
	}
	s.moved = true
	f.of[t] = s
	f.moved[s.on]++
	return s.r
}

// Continue has the flow that the connection names go on over it, and returns at
// the flow's end.
func (f *Flows) Continue(ctx context.Context, c *conn.Conn, d *Downstream) {
	_ = c.SetReadDeadline(time.Now().Add(moveWithin))
	var t token
	for len(c.Buffered()) < len(t) {
		if err := c.Fill(); err != nil {
			d.Log.Debug("connection without a word", "destination", d.Destination, "client", c.Remote(), "error", err)
			c.Abort()
			return
		}
	}
	copy(t[:], c.Buffered())
	c.Discard(len(t))
	_ = c.SetReadDeadline(time.Time{})
	r, answer := f.take(t, d), byte(moveAccepted)
	if r == nil {
		answer = moveRefused
	}
	_, err := c.Write([]byte{answer})
	if err == nil {
		err = c.Flush()
	}
	if err != nil || r == nil || !r.goOn(c) {
		_ = c.Close()
		return
	}
	select {
	case <-r.over:
	case <-ctx.Done():
		r.fail(context.Cause(ctx))
		<-r.over
	}
}
