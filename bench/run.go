package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/weftmesh/weft/bench/topology"
)

// Plan is what a run measures.
type Plan struct {
	Cells  []Cell
	Pairs  []*topology.Pair
	Rounds int
	// Attempts bounds how often a disturbed slice is repeated.
	Attempts int
	MaxOther float64
	// Budget ends the run after the round, or within the first one the cell, in
	// which it is used up; 0 is no limit.
	Budget time.Duration
}

// Outcome is what a run found.
type Outcome struct {
	Slices    []Slice
	Rounds    int // that were begun
	Repeated  int // slices thrown away
	Disturbed int // slices kept although others took too much of the CPU
	Skipped   []string
	Failed    bool // ours was left out of a cell
}

type measure func(context.Context, *topology.Pair, Cell) (Slice, error)

// Run measures every cell of every pair, round after round, in random order.
// A peer that fails in a cell is left out of that cell from then on, and said so.
func (p Plan) Run(ctx context.Context, m measure, log io.Writer) (Outcome, error) {
	var o Outcome
	out := map[string]bool{}
	deadline := time.Now().Add(p.Budget)
	late := func() bool { return p.Budget > 0 && time.Now().After(deadline) }
	for r := 0; r < p.Rounds && !late(); r++ {
		o.Rounds++
		for _, ci := range rand.Perm(len(p.Cells)) {
			c := p.Cells[ci]
			if c.Memory() && r > 1 {
				continue // it does not change any more, and takes long
			}
			if late() {
				fmt.Fprintf(log, "round %d: the time is used up before %s\n", r+1, c.Name)
				continue
			}
			for _, pi := range rand.Perm(len(p.Pairs)) {
				pair := p.Pairs[pi]
				if _, speaks := pair.At[c.Kind]; !speaks || out[c.Name+pair.Peer] || pair.Small && c.Load.Path != "" {
					continue
				}
				s, err := p.slice(ctx, m, pair, c, &o)
				if ctx.Err() != nil {
					return o, ctx.Err()
				}
				if err != nil {
					o.Failed = o.Failed || pair.Peer == Ours
					out[c.Name+pair.Peer] = true
					o.Skipped = append(o.Skipped, err.Error())
					fmt.Fprintf(log, "left out: %v\n", err)
					continue
				}
				s.Round = r
				o.Slices = append(o.Slices, s)
				fmt.Fprintf(log, "round %d  %-22s %-14s cpu %7s us  %8.0f /s  p50 %8s  p99 %8s ms  rss %5.1f %5.1f  other %.2f%s\n",
					r+1, c.Name, pair.Peer, number(s.CPU), s.RPS, number(s.P50), number(s.P99), s.Out, s.In, s.Other, map[bool]string{true: "  disturbed"}[s.Disturbed])
			}
		}
	}
	return o, nil
}

// slice measures until nothing else took the CPU; of slices that were all
// disturbed it keeps the quietest.
func (p Plan) slice(ctx context.Context, m measure, pair *topology.Pair, c Cell, o *Outcome) (Slice, error) {
	var best Slice
	var lastErr error
	for n := 1; n <= max(1, p.Attempts); n++ {
		s, err := m(ctx, pair, c)
		if err != nil {
			// Once may be bad luck of a busy machine; twice is not.
			if lastErr != nil || ctx.Err() != nil {
				return s, errors.Join(lastErr, err)
			}
			lastErr = err
			continue
		}
		s.Attempts = n
		if s.Other <= p.MaxOther || c.Memory() {
			return s, nil
		}
		if n < p.Attempts {
			o.Repeated++
		}
		if best.Attempts == 0 || s.Other < best.Other {
			best = s
		}
	}
	if best.Attempts == 0 {
		return best, lastErr
	}
	best.Disturbed = true
	o.Disturbed++
	return best, nil
}
