package h2

import (
	"errors"
	"io"
	"time"
)

// settleTime bounds settle.
const settleTime = 100 * time.Millisecond

// settle waits a moment for a writer that is about to fail too: it knows what
// has never left. mu is held.
func (c *mux) settle() {
	if !c.flushing || !c.client {
		return
	}
	over := false
	t := time.AfterFunc(settleTime, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		over = true
		c.idle.Broadcast()
	})
	defer t.Stop()
	for c.flushing && !over {
		c.idle.Wait()
	}
}

// lingerMost is how much is read behind the end besides DATA that was allowed, in
// bytes.
const lingerMost = 1 << 20

// linger lets the last frames reach a peer that still talks, as long as end
// allows it, and not whatever it says.
func (c *mux) linger(err error) {
	var ce *ConnError
	if err != nil && !errors.As(err, &ce) && !errors.Is(err, io.EOF) {
		return
	}
	for read := 0; err == nil || ce != nil; {
		read += len(c.t.Buffered())
		c.t.Discard(len(c.t.Buffered()))
		if read > lingerMost+int(c.o.ConnWindow) || c.t.Fill() != nil {
			return
		}
	}
	// The peer has closed its side; wait until ours is written.
	c.mu.Lock()
	for c.flushing {
		c.idle.Wait()
	}
	c.mu.Unlock()
}

// close ends the transport, from which nothing is expected any more.
func (c *mux) close() { c.closeOnce.Do(func() { _ = c.t.Close() }) }

// end fails every stream and queues the last GOAWAY; the writer then closes
// its side. err nil means an orderly end. mu is held.
func (c *mux) end(err error) {
	if c.ended {
		return
	}
	c.ended, c.err = true, err
	if !c.greeted {
		c.greeted = true
		close(c.ready)
	}
	code, reason := CodeNo, ""
	var ce *ConnError
	if errors.As(err, &ce) && ce.Err == nil && !ce.Remote {
		code, reason = ce.Code, ce.Reason
	}
	if c.client && err != nil {
		// Heads among it are of streams that fail as not sent.
		c.out, c.count.out = c.out[:0], 0
	}
	if ce == nil || ce.Err == nil {
		c.out = appendGoAway(c.out, min(c.lastPeer, c.goAway), code, reason)
	} else {
		c.out, c.count.out = c.out[:0], 0
	}
	cause := err
	if cause == nil {
		cause = ErrClosed
	}
	c.open.each(func(s *Stream) {
		c.open.take(s)
		if c.client && s.id > c.handed {
			s.fail(&StreamError{Code: CodeRefusedStream, Unprocessed: true, Reason: "the connection ended before the request was sent: " + cause.Error()})
			return
		}
		s.fail(cause)
	})
	c.dismissSome(c.idleWorkers)
	if c.squeeze.again != nil {
		c.squeeze.again.Stop()
	}
	c.kickLast()
	c.late = time.AfterFunc(linger, c.close)
}

// finishIfIdle ends a draining connection whose last stream is gone. mu is held.
func (c *mux) finishIfIdle() {
	if c.ended || c.open.n > 0 || c.handlers > 0 {
		return
	}
	if c.client && (c.draining || c.peerAway) || c.saidLast {
		c.end(nil)
	}
}

// drain begins an orderly end.
func (c *mux) drain() {
	c.mu.Lock()
	defer c.unlock()
	if c.draining || c.ended {
		return
	}
	c.draining = true
	if c.client {
		c.finishIfIdle()
		return
	}
	// First "no more soon", then, a round trip later, the true last stream:
	// what the peer sent meanwhile is still served.
	c.out = appendGoAway(c.out, maxWindow, CodeNo, "")
	c.out = appendPing(c.out, 0, drainPing)
	c.kick(false)
	time.AfterFunc(drainWait, func() {
		defer c.guard()
		c.mu.Lock()
		defer c.unlock()
		c.sayLast()
	})
}

// sayLast sends the second GOAWAY of an orderly end. mu is held.
func (c *mux) sayLast() {
	if c.ended || c.saidLast || !c.draining {
		return
	}
	c.saidLast, c.goAway = true, c.lastPeer
	if c.open.n > 0 || c.handlers > 0 {
		c.out = appendGoAway(c.out, c.goAway, CodeNo, "")
		c.kick(false)
	}
	c.finishIfIdle()
}
