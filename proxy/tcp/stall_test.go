package tcp

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A direction that waits for its reader ends with the pipe, although its own
// connection cannot be closed before.
func TestStalledPipeEnds(t *testing.T) {
	for _, stalled := range [][2]bool{{true, false}, {false, true}, {true, true}} {
		ctx, cancel := context.WithCancel(context.Background())
		client, server, done := piped(ctx, t, Options{})
		client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		server.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		if stalled[0] {
			client.Write(make([]byte, 256<<20))
		}
		if stalled[1] {
			server.Write(make([]byte, 256<<20))
		}
		cancel()
		if r := wait(t, done); !errors.Is(r.err, context.Canceled) {
			t.Errorf("%v: %+v", stalled, r)
		}
	}
	// Nothing moves any more: that is idle too.
	client, _, done := piped(context.Background(), t, Options{Idle: 100 * time.Millisecond})
	client.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	client.Write(make([]byte, 256<<20))
	if r := wait(t, done); !errors.Is(r.err, ErrIdle) {
		t.Errorf("idle: %+v", r)
	}
}
