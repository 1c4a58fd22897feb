package config

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrStream means that the control plane broke the protocol.
var ErrStream = errors.New("discovery stream")

// dialTimeout bounds the opening of a stream.
const dialTimeout = 10 * time.Second

// sweeps is how many times in Options.Idle unused destinations are looked for.
const sweeps = 4

// Run keeps a stream to the control plane until the context ends, whose error
// it returns. While no stream can be had the last good configuration stays.
// Run must be called once.
func (s *Store) Run(ctx context.Context) error {
	sweeper := time.NewTicker(max(s.opts.Idle/sweeps, time.Millisecond))
	defer sweeper.Stop()
	go func() {
		for {
			select {
			case <-sweeper.C:
				s.sweep()
			case <-ctx.Done():
				return
			}
		}
	}()
	pause := s.opts.MinBackoff
	for {
		answered, err := s.connect(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if answered {
			pause = s.opts.MinBackoff
		}
		s.log.Warn("no stream to the control plane; the configuration stays as it is", "error", err, "retry", pause)
		jitter := 0.8 + 0.4*rand.Float64()
		select {
		case <-time.After(time.Duration(float64(pause) * jitter)):
		case <-ctx.Done():
			return ctx.Err()
		}
		pause = min(2*pause, s.opts.MaxBackoff)
	}
}

// connect opens one stream and serves it to its end. answered says that the
// control plane answered anything.
func (s *Store) connect(parent context.Context) (answered bool, err error) {
	ctx, cancel := context.WithCancel(parent)
	defer cancel()
	timeout := time.AfterFunc(dialTimeout, cancel)
	st, err := s.opts.Dial(ctx)
	if !timeout.Stop() && err == nil {
		st.Close()
		err = context.DeadlineExceeded
	}
	if err != nil {
		return false, err
	}
	defer st.Close()
	stop := context.AfterFunc(ctx, st.Close)
	defer stop()

	s.setUp(true)
	defer s.setUp(false)
	received := make(chan error, 1)
	got := make(chan struct{})
	go func() {
		first := true
		received <- s.receive(st, func() {
			if first {
				close(got)
				first = false
			}
		})
	}()
	err = s.send(ctx, st, received)
	// The receiver ends with the stream; only then may another begin.
	st.Close()
	cancel()
	if err == nil {
		err = ctx.Err()
	} else if !errors.Is(err, errReceived) {
		<-received //nolint:errcheck // err is the cause, this its consequence
	}
	select {
	case <-got:
		answered = true
	default:
	}
	return answered, err
}

// errReceived marks an error that came from the receiving side.
var errReceived = errors.New("receive")

// send writes what there is to say until the stream ends.
func (s *Store) send(ctx context.Context, st Stream, received <-chan error) error {
	node := &s.opts.Node
	for {
		for _, r := range s.outgoing() {
			r.node = node
			node = nil
			if err := st.Send(r.encode()); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
		select {
		case <-s.wake:
		case err := <-received:
			return fmt.Errorf("%w: %w", errReceived, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// outgoing takes what is to be sent: answers first, then changed
// subscriptions. Listeners and clusters are asked for by name from the first
// request on, so none of them is a wildcard subscription.
func (s *Store) outgoing() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.acks
	s.acks = nil
	for _, r := range []*request{s.secrets.changes(), s.listeners.changes(), s.routes.changes(), s.clusters.changes(), s.endpoints.changes()} {
		if r != nil {
			out = append(out, r)
		}
	}
	return out
}

// receive takes responses in until the stream ends; heard is called for each.
func (s *Store) receive(st Stream, heard func()) error {
	for {
		b, err := st.Recv()
		if err != nil {
			return err
		}
		r, err := decodeResponse(b)
		if err != nil {
			return fmt.Errorf("%w: DeltaDiscoveryResponse: %w", ErrStream, err)
		}
		heard()
		s.take(r)
	}
}

// take applies a response and answers it.
func (s *Store) take(r *response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch r.url {
	case urlListener:
		err = s.listeners.apply(r)
	case urlRoutes:
		err = s.routes.apply(r)
	case urlCluster:
		err = s.clusters.apply(r)
	case urlAssignment:
		err = s.endpoints.apply(r)
	case urlSecret:
		err = s.secrets.apply(r)
	default:
		err = unsupported("type_url %q", r.url)
	}
	ack := &request{url: r.url, nonce: r.nonce}
	if err != nil {
		ack.detail = err.Error()
		s.log.Warn("configuration refused; the last good one stays", "error", err)
	}
	s.acks = append(s.acks, ack)
	s.refresh()
}

// setUp notes the beginning and the end of a stream.
func (s *Store) setUp(up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.up = up
	if !up {
		close(s.down)
		return
	}
	s.down = make(chan struct{})
	s.acks = nil
	s.listeners.restart()
	s.routes.restart()
	s.clusters.restart()
	s.endpoints.restart()
	s.secrets.restart()
	for _, t := range s.dests {
		t.late = false
	}
	s.kick()
}

// sweep gives up destinations that were not used for Options.Idle. While
// nobody can be asked for them again all are kept.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.up {
		return
	}
	gone := false
	for name, t := range s.dests {
		if t.dest.used.Swap(false) {
			t.idle = 0
			continue
		}
		if t.idle++; t.idle >= sweeps {
			t.dest.stale.Store(true)
			delete(s.dests, name)
			gone = true
		}
	}
	if gone {
		s.refresh()
	}
}
