package config

import (
	"errors"
	"fmt"
)

// answer is what is known of a name that was subscribed to.
type answer uint8

const (
	// asked: no answer has come, or none that could be accepted.
	asked answer = iota
	// present: value is the last good one.
	present
	// absent: the control plane says that there is none.
	absent
)

// entry is one name of one type. It outlives streams, and it outlives being
// unwanted until the control plane has been told so: an answer that is on its
// way is then still good if the name is wanted again.
type entry[T any] struct {
	answer  answer
	value   T
	version string
	refused string // why the newest one was refused; empty when it was not
	wanted  bool
	sent    bool // subscribed to on the current stream
}

// table is all names of one type.
type table[T any] struct {
	url     string
	decode  func(name string, b []byte) (T, error)
	entries map[string]*entry[T]
	// nacks counts refused responses since the start.
	nacks uint64
}

func newTable[T any](url string, decode func(string, []byte) (T, error)) *table[T] {
	return &table[T]{url: url, decode: decode, entries: map[string]*entry[T]{}}
}

// want marks names as needed, and all others as not.
func (t *table[T]) want(names map[string]bool) {
	for n := range names {
		if t.entries[n] == nil {
			t.entries[n] = &entry[T]{}
		}
	}
	for n, e := range t.entries {
		if e.wanted = names[n]; !e.wanted && !e.sent {
			delete(t.entries, n)
		}
	}
}

// get returns what is known of a name.
func (t *table[T]) get(name string) (T, answer) {
	if e := t.entries[name]; e != nil {
		return e.value, e.answer
	}
	var zero T
	return zero, asked
}

// apply takes a response in. What can be decoded takes effect; the error tells
// of everything that could not, and of each of those the last good one stays.
func (t *table[T]) apply(r *response) error {
	var errs []error
	for _, x := range r.resources {
		e := t.entries[x.name]
		if e == nil {
			continue // not subscribed to any more
		}
		v, err := t.accept(x)
		if err != nil {
			err = fmt.Errorf("%s %q: %w", shortType(t.url), x.name, err)
			e.refused = err.Error()
			if e.answer == absent { // there is one, but not one to be used
				e.answer = asked
			}
			errs = append(errs, err)
			continue
		}
		e.value, e.version, e.answer, e.refused = v, x.version, present, ""
	}
	for _, n := range r.removed {
		if e := t.entries[n]; e != nil {
			var zero T
			e.value, e.version, e.answer, e.refused = zero, "", absent, ""
		}
	}
	if len(errs) > 0 {
		t.nacks++
	}
	return errors.Join(errs...)
}

func (t *table[T]) accept(x resource) (v T, err error) {
	if x.any.url != t.url {
		return v, invalid("the resource is a %q", x.any.url)
	}
	return t.decode(x.name, x.any.value)
}

// changes returns the request that brings the stream's subscriptions up to
// what is wanted, or nil.
func (t *table[T]) changes() *request {
	r := request{url: t.url}
	for _, n := range sorted(t.entries) {
		switch e := t.entries[n]; {
		case e.wanted && !e.sent:
			e.sent = true
			r.subscribe = append(r.subscribe, n)
			if e.version != "" {
				if r.initial == nil {
					r.initial = map[string]string{}
				}
				r.initial[n] = e.version
			}
		case !e.wanted && e.sent:
			r.unsubscribe = append(r.unsubscribe, n)
			delete(t.entries, n)
		}
	}
	if len(r.subscribe)+len(r.unsubscribe) == 0 {
		return nil
	}
	return &r
}

// restart forgets what the last stream was told.
func (t *table[T]) restart() {
	for n, e := range t.entries {
		e.sent = false
		if !e.wanted {
			delete(t.entries, n)
		}
	}
}

// shortType is the last word of a type URL.
func shortType(url string) string {
	for i := len(url) - 1; i >= 0; i-- {
		if url[i] == '.' || url[i] == '/' {
			return url[i+1:]
		}
	}
	return url
}
