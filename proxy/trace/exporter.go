package trace

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// batch is how many spans are sent at once; fewer wait for Every. waiting is
	// how many full batches wait for the collector, and maxBytes bounds one.
	batch    = 512
	waiting  = 3
	maxBytes = 2 << 20
	// sendWithin bounds one export, and closeWithin the last one.
	sendWithin  = 10 * time.Second
	closeWithin = time.Second
	// minPause and maxPause bound how long a collector is left alone that failed.
	minPause = time.Second
	maxPause = 30 * time.Second
	// sayEvery is how often trouble is logged.
	sayEvery = 30 * time.Second
	// maxExporters bounds the collectors of a proxy.
	maxExporters = 32
)

// every is how long spans wait for a batch to fill up.
const every = 5 * time.Second

// Sender carries one request of TraceService/Export to a cluster and returns
// the answer.
type Sender interface {
	Export(ctx context.Context, cluster, authority string, request []byte) ([]byte, error)
}

// Exporters are the collectors of a proxy.
type Exporters struct {
	sender            Sender
	self              Self
	log               *slog.Logger
	exported, dropped atomic.Uint64
	mu                sync.Mutex
	all               map[[3]string]*Exporter
}

// NewExporters makes the collectors' keeper; log hears of trouble with them.
func NewExporters(s Sender, self Self, log *slog.Logger) *Exporters {
	return &Exporters{sender: s, self: self, log: log, all: map[[3]string]*Exporter{}}
}

// Exported is how many spans a collector has taken.
func (e *Exporters) Exported() uint64 { return e.exported.Load() }

// Dropped is how many spans were lost.
func (e *Exporters) Dropped() uint64 { return e.dropped.Load() }

// get returns the exporter of a collector, which is one for all who report to
// it under one name. Nil, which drops every span, where there are too many.
func (e *Exporters) get(cluster, authority, service string) *Exporter {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := [3]string{cluster, authority, service}
	if x := e.all[key]; x != nil {
		return x
	}
	if len(e.all) >= maxExporters {
		e.log.Warn("too many collectors of traces: nothing is sent to this one", "cluster", cluster, "limit", maxExporters)
		return nil
	}
	x := &Exporter{e: e, cluster: cluster, authority: authority, resource: resource(service),
		full: make(chan page, waiting), wake: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{})}
	x.timer = time.AfterFunc(time.Hour, x.kick)
	x.timer.Stop()
	go x.run()
	e.all[key] = x
	return x
}

// Flush asks that what waits be sent now; it does not wait.
func (e *Exporters) Flush() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.all {
		x.kick()
	}
}

// Close sends what waits, for a second at most.
func (e *Exporters) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all sync.WaitGroup
	for _, x := range e.all {
		all.Go(x.close)
	}
	all.Wait()
}

// Exporter sends spans to one collector.
type Exporter struct {
	e                  *Exporters
	cluster, authority string
	resource           []byte

	mu     sync.Mutex
	now    page // what gathers
	free   []byte
	closed bool
	timer  *time.Timer

	full  chan page
	wake  chan struct{}
	end   chan struct{}
	ended chan struct{}

	// Of the goroutine.
	message []byte
	pause   time.Duration
	said    time.Time
}

// page is a batch of spans, each with its tag.
type page struct {
	b []byte
	n int
}

func (x *Exporter) kick() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// add takes a span, or drops it. It never waits.
func (x *Exporter) add(span []byte) {
	if x == nil {
		return
	}
	x.mu.Lock()
	if (x.now.n >= batch || len(x.now.b)+len(span) > maxBytes) && !x.seal() || x.closed {
		x.mu.Unlock()
		x.e.dropped.Add(1)
		return
	}
	x.now.b = bytesField(x.now.b, 2, span)
	x.now.n++
	n := x.now.n
	if n == batch {
		x.seal() // or the next one does
	}
	x.mu.Unlock()
	if n == 1 {
		x.timer.Reset(every)
	}
}

// seal makes room where the collector is not behind by too much.
func (x *Exporter) seal() bool {
	select {
	case x.full <- x.now:
		x.now = page{b: x.free[:0]}
		x.free = nil
		return true
	default:
		return false
	}
}

// take is what has gathered so far.
func (x *Exporter) take() page {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.now
	x.now = page{b: x.free[:0]}
	x.free = nil
	return p
}

func (x *Exporter) run() {
	defer close(x.ended)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case p := <-x.full:
			x.send(ctx, p)
		case <-x.wake:
			x.send(ctx, x.take())
		case <-x.end:
			ctx, cancel := context.WithTimeout(ctx, closeWithin)
			defer cancel()
			for len(x.full) > 0 {
				x.send(ctx, <-x.full)
			}
			x.send(ctx, x.take())
			return
		}
		if x.pause > 0 {
			select {
			case <-time.After(x.pause):
			case <-x.end:
			}
		}
	}
}

// send carries one batch to the collector; what fails is lost.
func (x *Exporter) send(ctx context.Context, p page) {
	if p.n == 0 {
		return
	}
	x.message = request(x.message[:0], x.resource, p.b)
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	answer, err := x.e.sender.Export(ctx, x.cluster, x.authority, x.message)
	cancel()
	lost := uint64(p.n)
	if err == nil {
		x.pause = 0
		lost = min(rejected(answer), lost)
		x.e.exported.Add(uint64(p.n) - lost)
	} else {
		x.pause = min(max(2*x.pause, minPause), maxPause)
	}
	if lost > 0 {
		x.e.dropped.Add(lost)
		if time.Since(x.said) > sayEvery {
			x.said = time.Now()
			x.e.log.Warn("spans are lost", "collector", x.cluster, "spans", lost, "error", err)
		}
	}
	x.recycle(p.b)
}

// recycle keeps memory for the next batch, unless that was a burst.
func (x *Exporter) recycle(b []byte) {
	const usual = 256 << 10
	if cap(x.message) > 2*usual {
		x.message = nil
	}
	if cap(b) > 2*usual {
		return
	}
	x.mu.Lock()
	x.free = b
	x.mu.Unlock()
}

// close sends what waits.
func (x *Exporter) close() {
	x.mu.Lock()
	was := x.closed
	x.closed = true
	x.mu.Unlock()
	if was {
		return
	}
	x.timer.Stop()
	close(x.end)
	select {
	case <-x.ended:
	case <-time.After(2 * closeWithin):
	}
}
