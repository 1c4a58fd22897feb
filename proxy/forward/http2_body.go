package forward

import (
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// body2 sends a request's body on one try after another. What was sent is held,
// up to maxHeld, until the response begins.
type body2 struct {
	down *h2.Stream
	log  *slog.Logger
	sent atomic.Int64 // content sent on the last try

	mu        sync.Mutex
	held      []byte
	lost      bool // held is not all that was taken from the client
	committed bool // no further try will need it
	frozen    bool // nothing more is to be taken for now
	stopping  bool
	moved     sync.Cond // frozen or stopping has changed

	done chan struct{} // of the goroutine that sends; nil where none does
}

func newBody2(down *h2.Stream, log *slog.Logger) *body2 {
	b := &body2{down: down, log: log}
	b.moved.L = &b.mu
	return b
}

// empty says that the request has no body: its stream ended with the head.
func (b *body2) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.held) == 0 && !b.lost && b.down.Ended() && len(b.down.Trailers()) == 0
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

// commit says that no further try will follow.
func (b *body2) commit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.committed, b.frozen, b.held = true, false, nil
	b.moved.Broadcast()
}

// send begins to send the body on up. A body that is here in full and fits the
// peer's window goes at once, any other from a goroutine of its own; stop ends
// it.
func (b *body2) send(up *h2.Stream) {
	b.sent.Store(0)
	b.done = nil
	if b.empty() {
		return
	}
	b.stopping, b.frozen = false, false
	if n, last := b.down.Buffered(); last && n+len(b.held) <= min(maxHeld, up.Room()) {
		b.run(up)
		return
	}
	done := make(chan struct{})
	b.done = done
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				b.log.Error("request body: internal error", "panic", p, "stack", string(debug.Stack()))
				up.Reset(h2.CodeInternal)
			}
		}()
		b.run(up)
	}()
}

// run copies until the body ends or either stream fails; the response's side
// sees why.
func (b *body2) run(up *h2.Stream) {
	b.mu.Lock()
	held := b.held
	b.mu.Unlock()
	if n, err := up.Write(held); err != nil {
		b.sent.Add(int64(n))
		return
	}
	b.sent.Add(int64(len(held)))
	for {
		p, err := b.down.Next()
		switch {
		case errors.Is(err, h2.ErrInterrupted):
			if b.stopped() {
				return
			}
			continue
		case err == io.EOF: //nolint:errorlint // a lost connection may wrap io.EOF, and is not the end
			_ = up.WriteTrailers(filter.RequestTrailers(b.down.Trailers()))
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
	switch {
	case b.stopping:
		return false
	case b.lost || b.committed:
		b.lost = true
	case len(b.held)+len(p) > maxHeld:
		b.lost, b.held = true, nil
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
