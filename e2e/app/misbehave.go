package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// misbehaving adds what lets a test make the server fail or stall, and see how
// often it was asked:
//
//	/fail/CODE      everything below /api/v1 is answered with this status; 0 ends it
//	/stall/MS       everything below /api/v1 takes so long; 0 ends it
//	/seen/MARK      how many requests came with x-mark: MARK
//	/open/GATE      answers the requests that came with x-gate: GATE, now and later
//	/busy/WHAT      how many requests wait at a gate, or how many connections are
//	                open: gate, upgrade or tcp
func (s *server) misbehaving(m *http.ServeMux) {
	m.HandleFunc("/api/v1/", s.misbehave(func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode([]map[string]string{{"name": "ada"}, {"name": "grace"}}) //nolint:errcheck // the client went away
	}))
	m.HandleFunc("/fail/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code != 0 && (code < 200 || code > 599) {
			http.Error(w, "a status, or 0, is wanted", http.StatusBadRequest)
			return
		}
		s.failing.Store(int32(code))
	})
	m.HandleFunc("/stall/{ms}", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.ParseInt(r.PathValue("ms"), 10, 64)
		if err != nil || ms < 0 {
			http.Error(w, "a number of milliseconds is wanted", http.StatusBadRequest)
			return
		}
		s.stall.Store(ms)
	})
	m.HandleFunc("/seen/{mark}", func(w http.ResponseWriter, r *http.Request) {
		n := int64(0)
		if v, ok := s.seen.Load(r.PathValue("mark")); ok {
			n = v.(*atomic.Int64).Load()
		}
		fmt.Fprintln(w, n)
	})
	m.HandleFunc("/open/{gate}", func(_ http.ResponseWriter, r *http.Request) { s.gate(r.PathValue("gate")).open() })
	m.HandleFunc("/busy/{what}", func(w http.ResponseWriter, r *http.Request) {
		n, ok := map[string]*atomic.Int64{"gate": &s.gated, "upgrade": &s.upgraded, "tcp": &s.flows}[r.PathValue("what")]
		if !ok {
			http.Error(w, "gate, upgrade or tcp is wanted", http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, n.Load())
	})
}

// gate is shut until it is opened.
type gate struct {
	once sync.Once
	done chan struct{}
}

func (g *gate) open() { g.once.Do(func() { close(g.done) }) }

func (s *server) gate(name string) *gate {
	g, _ := s.gates.LoadOrStore(name, &gate{done: make(chan struct{})})
	return g.(*gate)
}

// wait is false when the client went away before the gate was opened.
func (s *server) wait(r *http.Request, name string) bool {
	s.gated.Add(1)
	defer s.gated.Add(-1)
	select {
	case <-s.gate(name).done:
		return true
	case <-r.Context().Done():
		return false
	}
}

// misbehave makes a handler fail or stall: always after a visit to /fail or
// /stall, or as the request's own headers ask: x-delay-ms, x-gate, x-status, x-reset
// (the connection or the stream is cut without an answer) and x-fail-rate (from
// 0 to 1: so many are answered 503).
func (s *server) misbehave(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.marks(w)
		if mark := r.Header.Get("x-mark"); mark != "" {
			n, _ := s.seen.LoadOrStore(mark, &atomic.Int64{})
			n.(*atomic.Int64).Add(1)
		}
		ms := s.stall.Load()
		if own, err := strconv.ParseInt(r.Header.Get("x-delay-ms"), 10, 64); err == nil {
			ms = own
		}
		if ms > 0 {
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		if name := r.Header.Get("x-gate"); name != "" && !s.wait(r, name) {
			return
		}
		if r.Header.Get("x-reset") != "" {
			panic(http.ErrAbortHandler)
		}
		if code, err := strconv.Atoi(r.Header.Get("x-status")); err == nil && code >= 200 && code <= 599 {
			w.WriteHeader(code)
			return
		}
		if code := s.failing.Load(); code != 0 {
			w.WriteHeader(int(code))
			return
		}
		if rate, err := strconv.ParseFloat(r.Header.Get("x-fail-rate"), 64); err == nil && rand.Float64() < rate {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		h(w, r)
	}
}

// upgrade takes the connection over and sends back what comes.
func (s *server) upgrade(w http.ResponseWriter, r *http.Request) {
	hijacker, ok := w.(http.Hijacker)
	if !ok || r.Header.Get("upgrade") == "" {
		http.Error(w, "an upgrade is wanted", http.StatusUpgradeRequired)
		return
	}
	c, buffered, err := hijacker.Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	s.upgraded.Add(1)
	defer s.upgraded.Add(-1)
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: %s\r\nx-backend: %s\r\nx-version: %s\r\n\r\n",
		r.Header.Get("upgrade"), s.hostname, s.version)
	io.Copy(c, buffered) //nolint:errcheck // the client went away
}
