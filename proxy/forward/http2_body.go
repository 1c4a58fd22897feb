package forward

import (
	"errors"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// body2 sends a request's body on one try after another. A body that is here in
// one piece leaves with the head, from where it lies. Of any other what was
// sent is held, up to the exchange's limit, until the response begins.
type body2 struct {
	down *h2.Stream
	x    *Exchange
	sent atomic.Int64 // content sent on the last try

	mu        sync.Mutex
	held      []byte
	lost      bool // held is not all that was taken from the client
	committed bool // no further try will need it
	frozen    bool // nothing more is to be taken for now
	stopping  bool
	told      bool      // the exchange was shown a body that came in one piece
	moved     sync.Cond // frozen or stopping has changed

	done chan struct{} // of the goroutine that sends; nil where none does
	rest int           // of held, from the end: what the head did not take along; -1 for all was sent
}

func (b *body2) begin(down *h2.Stream, x *Exchange) {
	b.down, b.x = down, x
	if p, last := down.Peek(); last {
		b.tell(p)
	}
}

// tell shows the exchange a body that is here in one piece, as soon as that is
// known.
func (b *body2) tell(p []byte) {
	if !b.told {
		b.told = true
		b.x.Tee(p)
		b.x.Complete(nil)
	}
}

// end forgets the call; no goroutine sends any more.
func (b *body2) end() {
	if cap(b.held) > 2*maxHeld {
		b.held = nil
	}
	b.down, b.x, b.done = nil, nil, nil
	b.held = b.held[:0]
	b.sent.Store(0)
	b.lost, b.committed, b.frozen, b.stopping, b.told, b.rest = false, false, false, false, false, 0
}

// open opens a stream, and sends the body with the head where it is here in one
// piece.
func (b *body2) open(cl *h2.Client, r *http.Request) (*h2.Stream, error) {
	b.sent.Store(0)
	b.thaw()
	b.rest = len(b.held)
	p, last := b.down.Peek()
	if !last || len(b.held) > 0 || b.lost {
		return cl.Open(r, false)
	}
	s, n, err := cl.OpenWith(r, p, true)
	if s == nil || err != nil && errors.Is(err, h2.ErrBusy) {
		return nil, err
	}
	// Any other error is met again by whoever reads the response.
	b.sent.Store(int64(n))
	if n == len(p) {
		b.rest = -1
		b.tell(p)
		return s, nil
	}
	b.hold(p[:n])
	b.down.Consume(n)
	b.rest = 0
	return s, nil
}

// replayable says that everything that was sent can be sent again.
func (b *body2) replayable() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.lost
}

// freeze is replayable, and keeps it so: nothing more is taken from the client
// until commit, or another try.
func (b *body2) freeze() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frozen = !b.lost
	return !b.lost
}

// thaw lets a further try take from the client; nobody does meanwhile.
func (b *body2) thaw() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stopping, b.frozen = false, false
}

// commit says that no further try will follow.
func (b *body2) commit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.committed, b.frozen, b.held = true, false, b.held[:0]
	b.moved.Broadcast()
}

// send begins to send on up what the head did not take along. A body that is
// here in full and fits the peer's window goes at once, any other from a
// goroutine of its own; stop ends it.
func (b *body2) send(up *h2.Stream) {
	b.done = nil
	if b.rest < 0 {
		return
	}
	if n, last := b.down.Buffered(); last && n+b.rest <= min(maxHeld, up.Room()) {
		b.run(up)
		return
	}
	b.spawn(up)
}

// spawn has a goroutine of its own take from the client, until stop: for up, or
// to be held where that is nil.
func (b *body2) spawn(up *h2.Stream) {
	done := make(chan struct{})
	b.done = done
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				b.x.Downstream.Log.Error("request body: internal error", "panic", p, "stack", string(debug.Stack()))
				if up != nil {
					up.Reset(h2.CodeInternal)
				}
			}
		}()
		if up == nil {
			b.gather()
		} else {
			b.run(up)
		}
	}()
}

// waiting implements waiter: while the connection is being made, the body is
// taken as far as it can be held, since the request's time begins with its end.
// stop ends it.
func (b *body2) waiting() {
	if b.told || b.lost || b.done != nil {
		return
	}
	b.thaw()
	b.spawn(nil)
}

// gather takes what it may hold.
func (b *body2) gather() {
	for {
		p, err := b.down.Next()
		switch {
		case errors.Is(err, h2.ErrInterrupted) && !b.stopped():
			continue
		case err == io.EOF: //nolint:errorlint // a lost connection is not the end
			b.x.Complete(filter.Trailers(b.down.Trailers()))
			return
		case err != nil || !b.room(len(p)) || !b.hold(p):
			return
		}
		b.down.Consume(len(p))
	}
}

// room says whether n bytes more can be held.
func (b *body2) room(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.held)+n <= b.x.MaxHeld()
}

// run copies until the body ends or either stream fails; the response's side
// sees why.
func (b *body2) run(up *h2.Stream) {
	b.mu.Lock()
	held := b.held
	b.mu.Unlock()
	if b.rest > 0 {
		n, err := up.Write(held)
		b.sent.Add(int64(n))
		if err != nil {
			return
		}
	}
	for {
		p, err := b.down.Next()
		switch {
		case errors.Is(err, h2.ErrInterrupted):
			if b.stopped() {
				return
			}
			continue
		case err == io.EOF: //nolint:errorlint // a lost connection is not the end
			trailers := filter.Trailers(b.down.Trailers())
			b.x.Complete(trailers)
			_ = up.WriteTrailers(trailers)
			return
		case err != nil:
			up.Reset(h2.CodeCancel)
			return
		}
		if !b.hold(p) {
			return
		}
		n, err := up.Write(p)
		b.sent.Add(int64(n))
		// Taken is taken: it is held, or the request is not sent again.
		b.down.Consume(len(p))
		if err != nil {
			return
		}
	}
}

// hold keeps p for another try. It is false when p is not to be taken.
func (b *body2) hold(p []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.frozen && !b.stopping {
		b.moved.Wait()
	}
	if b.stopping {
		return false
	}
	if !b.told {
		b.x.Tee(p)
	}
	switch {
	case b.lost || b.committed:
		b.lost = true
	case len(b.held)+len(p) > b.x.MaxHeld():
		b.lost, b.held = true, b.held[:0]
	default:
		b.held = append(b.held, p...)
	}
	return true
}

func (b *body2) stopped() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.stopping
}

// cut is stop for a response that is over, after which up takes nothing: nothing
// of the exchange is used afterwards.
func (b *body2) cut(up *h2.Stream) {
	if b.done == nil {
		return
	}
	select {
	case <-b.done:
	default:
		// Whoever waits for its windows may wait for ever.
		up.Reset(h2.CodeCancel)
	}
	b.stop()
}

// stop ends the sending; the stream that it sends on has ended or been reset.
func (b *body2) stop() {
	if b.done == nil {
		return
	}
	b.mu.Lock()
	b.stopping = true
	b.moved.Broadcast()
	b.mu.Unlock()
	b.down.Interrupt()
	<-b.done
	b.done = nil
	b.thaw()
}

// finish waits after the response for as long as the body moves.
func (b *body2) finish() {
	if b.done == nil {
		return
	}
	t := time.NewTicker(uploadStall)
	defer t.Stop()
	for last := b.sent.Load(); ; {
		select {
		case <-b.done:
			return
		case <-t.C:
		}
		n := b.sent.Load()
		if n == last {
			return
		}
		last = n
	}
}
