package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// Role is the first argument of a program that should become a generator; the
// second is a Spec as JSON.
const Role = "load"

// Main runs one of our own generators until it is done or ctx ends, and
// prints the Result as JSON.
func Main(ctx context.Context, args []string, out io.Writer) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: %s SPEC", Role)
	}
	var s Spec
	if err := json.Unmarshal([]byte(args[0]), &s); err != nil {
		return fmt.Errorf("read the load: %w", err)
	}
	r, err := s.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}

func (s Spec) run(ctx context.Context) (Result, error) {
	switch s.Generator {
	case Open:
		return s.open(ctx)
	case Hold:
		return s.hold(ctx)
	case Unary:
		return s.grpc(ctx, unary)
	case Stream:
		return s.grpc(ctx, stream)
	case Exchange:
		return s.tcp(ctx, exchange)
	case Bulk:
		return s.tcp(ctx, bulk)
	case Connect:
		return s.connect(ctx)
	}
	return Result{}, fmt.Errorf("%q is no generator of ours", s.Generator)
}

// meter collects the latencies of one worker after the warm-up.
type meter struct {
	from time.Time
	ns   []int64
	errs uint64
	err  error
}

func (m *meter) done(start time.Time) {
	if start.After(m.from) {
		m.ns = append(m.ns, int64(time.Since(start)))
	}
}

// nearEnd is when an error may be the end's own: dialers and gRPC time out by
// the deadline themselves, a moment before the context does.
const nearEnd = 20 * time.Millisecond

// closed runs n workers, each until work fails or time is over, and adds up
// what they saw. An error after the end is none.
func (s Spec) closed(ctx context.Context, n int, work func(ctx context.Context, worker int, m *meter) error) Result {
	end := time.Now().Add(s.Warm + s.Duration)
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	ms := make([]meter, n)
	var wg sync.WaitGroup
	for i := range ms {
		ms[i].from = time.Now().Add(s.Warm)
		wg.Go(func() {
			if err := work(ctx, i, &ms[i]); err != nil && ctx.Err() == nil && time.Until(end) > nearEnd {
				ms[i].errs++
				ms[i].err = err
			}
		})
	}
	wg.Wait()
	var r Result
	var ns []int64
	for _, m := range ms {
		ns = append(ns, m.ns...)
		r.Errors += m.errs
		if m.err != nil && r.First == "" {
			r.First = m.err.Error()
		}
	}
	r.Requests = uint64(len(ns))
	r.latencies(ns)
	return r
}
