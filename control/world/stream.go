package world

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/mesh"
)

// Stream makes Worlds of events, one after another, without a Store: for tests
// and tools. It is for one goroutine.
type Stream struct {
	state    *state
	revision uint64
}

// NewStream makes an empty Stream.
func NewStream(trustDomain string) *Stream { return &Stream{state: newState(trustDomain)} }

// Apply takes events in.
func (s *Stream) Apply(events ...Event) {
	for _, e := range events {
		s.state.apply(e)
	}
}

// World is what the events so far come to.
func (s *Stream) World() *World {
	s.revision++
	return s.state.snapshot(s.revision)
}

// About says which object a Put or a Delete is about.
func (e Event) About() (Kind, mesh.Ref, bool) {
	switch e.op {
	case opPut:
		return Kind(e.origin.Kind), refOf(e.obj), true
	case opDelete:
		return e.kind, e.ref, true
	}
	return "", mesh.Ref{}, false
}

// Copy is a Put with another object, which has the content of the first but
// for what the function changes of its metadata.
func (e Event) Copy(change func(metav1.Object)) Event {
	if e.obj == nil {
		return e
	}
	v := reflect.ValueOf(e.obj).Elem()
	c := reflect.New(v.Type())
	c.Elem().Set(v)
	if o, ok := c.Interface().(metav1.Object); ok {
		change(o)
		e.obj = o
	}
	return e
}
