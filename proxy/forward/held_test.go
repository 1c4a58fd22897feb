package forward

import "testing"

// What is held for slow readers makes windows small at once, and not for ever.
func TestHeldMakesWindowsSmall(t *testing.T) {
	a := NewActivity()
	a.Hold(1 << 30)
	if got := a.Window(streamWindow); got != streamWindow {
		t.Errorf("without a limit: %d", got)
	}
	a.held.most.Store(100)
	a.Hold(100 - 1<<30)
	for _, c := range []struct{ add, want int }{{0, streamWindow}, {1, minWindow}, {-20, minWindow}, {-10, streamWindow}, {29, streamWindow}, {1, minWindow}, {-101, streamWindow}} {
		a.Hold(c.add)
		if got := a.Window(streamWindow); got != c.want {
			t.Errorf("%d held: window %d, want %d", a.Held(), got, c.want)
		}
	}
}
