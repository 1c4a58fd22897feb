package check

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Result is the outcome of a check.
type Result string

// The results, as -o json spells them.
const (
	Success Result = "success"
	Warning Result = "warning"
	Error   Result = "error"
)

// Outcome is what came of one check.
type Outcome struct {
	Category    string
	Description string
	Result      Result
	Err         error
	Hint        string // URL
}

// Runner runs checks one after the other.
type Runner struct {
	// Wait bounds the time in which checks with Retry may come right, all
	// together; Poll is the pause between two tries; Timeout bounds one try.
	Wait, Poll, Timeout time.Duration
}

// hintBase is where the hints are explained.
const hintBase = "https://github.com/weftmesh/weft/blob/main/docs/checks.md#"

// stream yields the outcomes as they come; it ends early after a fatal failure.
func (r Runner) stream(ctx context.Context, categories []Category) iter.Seq[Outcome] {
	return func(yield func(Outcome) bool) {
		deadline := time.Now().Add(r.Wait)
		for _, cat := range categories {
			for _, c := range cat.Checks {
				o := Outcome{Category: cat.Name, Description: c.Description, Result: Success, Err: r.try(ctx, c, deadline)}
				if o.Err != nil {
					o.Result = Error
					if c.Warning || errors.Is(o.Err, errInconclusive) {
						o.Result = Warning
					}
					if c.Hint != "" {
						o.Hint = hintBase + c.Hint
					}
				}
				if !yield(o) || (o.Result == Error && c.Fatal) {
					return
				}
			}
		}
	}
}

func (r Runner) try(ctx context.Context, c Check, deadline time.Time) error {
	for {
		one, cancel := context.WithTimeout(ctx, r.Timeout)
		err := c.Run(one)
		cancel()
		if err == nil || !c.Retry || errors.Is(err, errInconclusive) || ctx.Err() != nil || time.Now().Add(r.Poll).After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(r.Poll):
		}
	}
}
