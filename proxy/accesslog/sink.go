package accesslog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxHeld bounds the lines that wait to be written to one file, in bytes.
	maxHeld = 1 << 20
	// enough is how much is written at once; less waits for flushEvery.
	enough     = 32 << 10
	flushEvery = 200 * time.Millisecond
	// closeWithin bounds the last write to a file.
	closeWithin = time.Second
	// sayEvery is how often the same trouble is logged.
	sayEvery = 30 * time.Second
	// maxSinks bounds the open files.
	maxSinks = 32
)

// Sink is one file. Lines are gathered and written by one goroutine.
type Sink struct {
	of      *Sinks
	users   int // guarded by of's lock
	path    string
	log     *slog.Logger
	written *atomic.Uint64
	dropped *atomic.Uint64

	mu     sync.Mutex
	held   []byte // lines that wait
	count  int    // of held
	closed bool
	timer  *time.Timer
	wake   chan struct{}
	end    chan struct{} // closed to end the goroutine
	ended  chan struct{} // closed when it has

	// Of the goroutine.
	to   io.Writer
	open func() (io.Writer, error)
	torn bool // the last write ended within a line
	said time.Time
}

func newSink(of *Sinks, path string, open func() (io.Writer, error)) *Sink {
	s := &Sink{of: of, path: path, log: of.log, written: &of.written, dropped: &of.dropped, open: open,
		wake: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{})}
	s.timer = time.AfterFunc(time.Hour, s.kick)
	s.timer.Stop()
	go s.run()
	return s
}

func (s *Sink) kick() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write takes a line, or drops it. It never waits for the file.
func (s *Sink) write(line []byte) {
	if s == nil || len(line) == 0 {
		return
	}
	s.mu.Lock()
	if s.closed || len(s.held)+len(line) > maxHeld {
		s.mu.Unlock()
		s.dropped.Add(1)
		return
	}
	before := len(s.held)
	s.held = append(s.held, line...)
	s.count++
	after := len(s.held)
	s.mu.Unlock()
	switch {
	case before < enough && after >= enough:
		s.kick()
	case before == 0:
		s.timer.Reset(flushEvery)
	}
}

func (s *Sink) run() {
	defer close(s.ended)
	var own []byte
	for {
		last := false
		select {
		case <-s.wake:
		case <-s.end:
			last = true
		}
		s.mu.Lock()
		own, s.held = s.held, own[:0]
		n := s.count
		s.count = 0
		s.mu.Unlock()
		s.flush(own, n)
		if last {
			if f, ok := s.to.(io.Closer); ok {
				_ = f.Close() // what was written is written
			}
			return
		}
		if cap(own) > 4*enough {
			own = nil // it was a burst
		}
	}
}

// flush writes n lines.
func (s *Sink) flush(b []byte, n int) {
	if len(b) == 0 {
		return
	}
	var err error
	if s.to == nil {
		if s.to, err = s.open(); err != nil {
			s.to = nil
			s.lost(n, err)
			return
		}
	}
	if s.torn {
		if _, err = s.to.Write([]byte{'\n'}); err != nil {
			s.lost(n, err)
			return
		}
		s.torn = false
	}
	m, err := s.to.Write(b)
	if err == nil {
		s.written.Add(uint64(n))
		return
	}
	whole := 0
	for i := range m {
		if b[i] == '\n' {
			whole++
		}
	}
	s.written.Add(uint64(min(whole, n)))
	s.torn = m > 0 && b[m-1] != '\n'
	s.lost(n-min(whole, n), err)
}

func (s *Sink) lost(n int, err error) {
	s.dropped.Add(uint64(n))
	if time.Since(s.said) > sayEvery {
		s.said = time.Now()
		s.log.Warn("lines of the access log are lost", "path", s.path, "lines", n, "error", err)
	}
}

// close writes what is held, unless that takes too long.
func (s *Sink) close() {
	s.mu.Lock()
	was := s.closed
	s.closed = true
	s.mu.Unlock()
	if was {
		return
	}
	s.timer.Stop()
	close(s.end)
	select {
	case <-s.ended:
	case <-time.After(closeWithin):
	}
}

// release says that one of those who have opened the sink does not write to it
// any more. The last one closes it.
func (s *Sink) release() {
	if s == nil {
		return
	}
	s.of.mu.Lock()
	defer s.of.mu.Unlock()
	if s.users--; s.users > 0 || s.of.open[s.path] != s {
		return
	}
	delete(s.of.open, s.path)
	go s.close()
}

// Sinks are the files of a proxy. The zero value is not usable; see NewSinks.
type Sinks struct {
	log              *slog.Logger
	written, dropped atomic.Uint64
	mu               sync.Mutex
	open             map[string]*Sink
}

// NewSinks makes the files' keeper; log hears of trouble with them.
func NewSinks(log *slog.Logger) *Sinks { return &Sinks{log: log, open: map[string]*Sink{}} }

// Open returns the file's sink, which is one for all who write to it, until each
// of them has released it. The file is opened with the first line. Nil, which drops every line, where there are
// too many.
func (s *Sinks) Open(path string) *Sink {
	return s.OpenWith(path, func() (io.Writer, error) { return openFile(path) })
}

// OpenWith is Open with a way of one's own to open the file.
func (s *Sinks) OpenWith(path string, open func() (io.Writer, error)) *Sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.open[path]; k != nil {
		k.users++
		return k
	}
	if len(s.open) >= maxSinks {
		s.log.Warn("too many files for access logs: this one is not written", "path", path, "limit", maxSinks)
		return nil
	}
	k := newSink(s, path, open)
	k.users = 1
	s.open[path] = k
	return k
}

// Written and Dropped are how many lines were written and lost.
func (s *Sinks) Written() uint64 { return s.written.Load() }

// Dropped is how many lines were lost.
func (s *Sinks) Dropped() uint64 { return s.dropped.Load() }

// Flush asks that what is held be written now; it does not wait.
func (s *Sinks) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.open {
		k.kick()
	}
}

// Close writes what is held, for a second at most a file.
func (s *Sinks) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all sync.WaitGroup
	for _, k := range s.open {
		all.Go(k.close)
	}
	all.Wait()
}

// standard is a stream of the process, which stays open.
type standard struct{ io.Writer }

// openFile opens what a path of an access log means.
func openFile(path string) (io.Writer, error) {
	switch path {
	case "/dev/stdout":
		return standard{os.Stdout}, nil
	case "/dev/stderr":
		return standard{os.Stderr}, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return f, nil
}
