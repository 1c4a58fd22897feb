package accesslog

import (
	"fmt"
	"runtime"
	"sync/atomic"
)

// Log is the loggers of one place. It is immutable.
type Log struct {
	names   names
	targets []target
}

type target struct {
	format format
	sink   *Sink
}

// Opener opens files (*Sinks). Each is released by who has opened it.
type Opener interface {
	Open(path string) *Sink
}

// New makes a log of loggers; nil for none. Its errors name the field that is
// wrong.
func New(specs []Spec, o Opener) (*Log, error) {
	if len(specs) == 0 {
		return nil, nil //nolint:nilnil // no log is not an error
	}
	l := &Log{names: newNames()}
	for i := range specs {
		f, err := l.names.compile(&specs[i])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", specs[i].Path, err)
		}
		l.targets = append(l.targets, target{format: f})
	}
	for i := range specs {
		s := o.Open(specs[i].Path)
		l.targets[i].sink = s
		// Requests and connections may hold a log long after the configuration has
		// another: the last one of them is found by the garbage collector.
		runtime.AddCleanup(l, (*Sink).release, s)
	}
	return l, nil
}

// Check says whether loggers can be made of specs.
func Check(specs []Spec) error {
	n := newNames()
	for i := range specs {
		if _, err := n.compile(&specs[i]); err != nil {
			return err
		}
	}
	return nil
}

// Entry begins an entry.
func (l *Log) Entry() *Entry {
	e := entries.Get().(*Entry)
	e.log, e.GRPC = l, -1
	e.request = absent(e.request, len(l.names.request))
	e.reply = absent(e.reply, len(l.names.response))
	return e
}

func absent(s []span, n int) []span {
	s = s[:0]
	for range n {
		s = append(s, span{from: -1})
	}
	return s
}

// Slot holds the logs of one destination, or of the workload's own ports, as
// the configuration has them at the moment. The zero value has none.
type Slot struct{ http, tcp atomic.Pointer[Log] }

// HTTP is the log of requests; nil for none. A nil slot has none.
func (s *Slot) HTTP() *Log {
	if s == nil {
		return nil
	}
	return s.http.Load()
}

// TCP is the log of connections without HTTP; nil for none.
func (s *Slot) TCP() *Log {
	if s == nil {
		return nil
	}
	return s.tcp.Load()
}

// Set replaces both.
func (s *Slot) Set(http, tcp *Log) {
	if s.http.Load() != http {
		s.http.Store(http)
	}
	if s.tcp.Load() != tcp {
		s.tcp.Store(tcp)
	}
}
