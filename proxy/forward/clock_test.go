package forward

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/timer"
	"github.com/weftmesh/weft/proxy/upstream"
)

// What waits for a connection is ended by the request's time as well, and may
// notice it before the alarm rings: the answer is the same.
func TestTimeIsOverBeforeTheAlarm(t *testing.T) {
	x := Exchange{extra: &extra{}}
	c := &x.extra.clock
	c.wheel, c.end = &timer.Wheel{}, time.Now().Add(time.Minute)
	err := fmt.Errorf("%w: given up: %w", upstream.ErrConnect, context.DeadlineExceeded)
	if f := x.Failed(NotConnected, errors.New("refused")); f.Status != 503 {
		t.Errorf("in time: %d", f.Status)
	}
	c.end = time.Now().Add(-time.Millisecond)
	if f := x.Failed(NotConnected, err); f.Status != 504 || f.Reason != ReasonTimeout {
		t.Errorf("late: %d %s", f.Status, f.Reason)
	}
}
