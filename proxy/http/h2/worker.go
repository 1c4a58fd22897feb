package h2

import "time"

// workerRest is how often the workers and the flusher are looked at; one that
// nobody needed between two looks is let go.
const workerRest = 5 * time.Second

// worker is a goroutine that runs a server's handlers, one after another: to
// begin one is to wake it.
type worker struct {
	c    *mux
	s    *Stream // to be handled; nil means that the worker is to end
	wake chan struct{}
	next *worker // below it among the idle ones
}

// dispatch has a stream handled. mu is held.
func (c *mux) dispatch(s *Stream) {
	c.handlers++
	w := c.workers
	if w == nil {
		w = &worker{c: c, s: s, wake: make(chan struct{}, 1)}
		go w.run()
		return
	}
	c.workers, w.next, w.s = w.next, nil, s
	c.idleWorkers--
	c.spareWorkers = min(c.spareWorkers, c.idleWorkers)
	c.wakes = append(c.wakes, w.wake)
}

func (w *worker) run() {
	c := w.c
	defer c.guard()
	over := false
	defer func() {
		if !over {
			// The handler panicked, or ended its goroutine.
			c.mu.Lock()
			c.handled(w.s)
			c.unlock()
		}
	}()
	for {
		c.serve(w.s)
		c.mu.Lock()
		c.handled(w.s)
		if w.s = nil; c.ended {
			over = true
			c.unlock()
			return
		}
		w.next, c.workers = c.workers, w
		c.idleWorkers++
		c.rest()
		c.unlock()
		<-w.wake
		if w.s == nil {
			over = true
			return
		}
	}
}

// handled ends a handler's stream. mu is held.
func (c *mux) handled(s *Stream) {
	code := CodeInternal
	if s.localEnd {
		code = CodeNo // the response is complete: the rest of the request is not wanted
	}
	s.release(code)
	s.recycle()
	if c.handlers--; c.handlers == 0 {
		c.idle.Broadcast()
	}
	c.finishIfIdle()
}

// rest sees to it that idle workers and the flusher do not stay for ever. mu is
// held.
func (c *mux) rest() {
	if c.resting {
		return
	}
	c.resting = true
	c.spareWorkers = c.idleWorkers
	if c.rester == nil {
		c.rester = time.AfterFunc(workerRest, c.dismiss)
	} else {
		c.rester.Reset(workerRest)
	}
}

// dismiss lets those go that were idle all the time.
func (c *mux) dismiss() {
	defer c.guard()
	c.mu.Lock()
	defer c.unlock()
	c.dismissSome(c.spareWorkers)
	c.spareWorkers = c.idleWorkers
	if !c.flusherUsed {
		c.dismissFlusher()
	}
	c.flusherUsed = false
	if c.resting = (c.idleWorkers > 0 || c.flusherRests) && !c.ended; c.resting {
		c.rester.Reset(workerRest)
	}
}

// dismissSome lets n idle workers go. mu is held.
func (c *mux) dismissSome(n int) {
	for ; n > 0 && c.workers != nil; n-- {
		w := c.workers
		c.workers, w.next = w.next, nil
		c.idleWorkers--
		c.wakes = append(c.wakes, w.wake)
	}
}
