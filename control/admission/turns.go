package admission

import (
	"context"
	"time"
)

// Turns judges one object at a time: what judgements cost together is bounded
// by what one costs.
type Turns struct {
	judge    Judge
	turn     chan struct{}
	patience time.Duration
}

// patience is how long an object waits for its turn: less than the API server
// waits for the answer, so that it is not refused for the sake of the others.
const patience = 4 * time.Second

// NewTurns makes one of a Judge.
func NewTurns(j Judge) *Turns {
	return &Turns{judge: j, turn: make(chan struct{}, 1), patience: patience}
}

// Judge is that of the Judge. An object whose turn does not come in time, or
// before the context ends, passes with a warning.
func (t *Turns) Judge(ctx context.Context, object, old []byte) (faults, warnings []string, err error) {
	in, cancel := context.WithTimeout(ctx, t.patience)
	defer cancel()
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
		return t.judge.Judge(ctx, object, old)
	case <-in.Done():
		return nil, []string{"not looked at: too many objects are being changed at once; weft translate lists what is wrong"}, nil
	}
}
