package forward

import (
	"testing"
	"time"
)

func TestRest(t *testing.T) {
	var r rest
	var used time.Duration
	now := time.Unix(1000, 0)
	for i, step := range []struct {
		after, use time.Duration
		want       bool
		why        string
	}{
		{restTick, restTick, false, "busy"},
		{restTick, restTick / 200, true, "idle for the first time"},
		{restTick, restTick / 200, false, "nothing has happened since"},
		{restTick, restTick / 2, false, "busy again"},
		{restTick, 0, false, "too early to do it again"},
		{restAgain, 0, true, "late enough"},
		{10 * restAgain, 0, false, "nothing has happened for long"},
	} {
		now, used = now.Add(step.after), used+step.use
		if got := r.due(now, used); got != step.want {
			t.Errorf("step %d (%s): %v", i, step.why, got)
		}
	}
}

// A burst of connections is not kept until its time has come.
func TestRestAfterABurst(t *testing.T) {
	now := time.Unix(1000, 0)
	r := rest{last: now.Add(-2 * restTick)}
	if r.due(now, 0) {
		t.Error("memory is given back again, and nothing has grown")
	}
	r.grown = true
	if !r.due(now, 0) {
		t.Error("a burst is kept")
	}
	if r.due(now.Add(restTick), 0) {
		t.Error("memory is given back twice for one burst")
	}
}
