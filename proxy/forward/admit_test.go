package forward

import "testing"

// Streams take their share of the memory and no more, and who takes most is
// refused first.
func TestStreamsAreAdmittedByWeight(t *testing.T) {
	a := NewActivity()
	a.Carry(1 << 40)
	if !a.Admit(1 << 40) {
		t.Error("refused without a limit")
	}
	a.Carry(-1 << 40)
	a.streams.most.Store(1000)
	one := 0
	for ; a.Admit(one); one++ {
		a.Carry(1)
	}
	if one != 800 {
		t.Errorf("alone a connection gets %d of 1000", one)
	}
	if len(a.nudges) != 1 || !a.streams.near.Load() {
		t.Error("the guard was not asked to look")
	}
	two := 0
	for ; a.Admit(two); two++ {
		a.Carry(1)
	}
	if two != 160 {
		t.Errorf("a second one gets %d of 200", two)
	}
	if !a.Admit(0) {
		t.Error("who has nothing is refused")
	}
	a.Carry(1000 - one - two)
	if a.Admit(0) {
		t.Error("admitted where nothing is left")
	}
	if _, n := a.Shed(); n != 3 {
		t.Errorf("%d refusals were counted, want 3", n)
	}
	a.Carry(-1000)
	if a.streams.near.Load() || !a.Admit(one) {
		t.Error("what was given back is not there")
	}
}
