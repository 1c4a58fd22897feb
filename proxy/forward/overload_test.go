package forward

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
)

func TestLevels(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(&b, nil))
	a := NewActivity()
	for _, s := range []struct {
		percent int
		want    Level
	}{{10, Relaxed}, {64, Relaxed}, {65, Tight}, {61, Tight}, {59, Relaxed}, {80, Short}, {75, Short}, {72, Tight}, {95, Critical}, {84, Critical}, {82, Short}, {20, Relaxed}} {
		if got := a.look(s.percent, log); got != s.want || a.Level() != s.want {
			t.Fatalf("%d %%: %s, want %s", s.percent, got, s.want)
		}
		if a.Shedding() != (s.want == Critical) || a.Accepting() != (s.want < Short) {
			t.Errorf("%s: shedding %v", s.want, a.Shedding())
		}
	}
	if n, _ := a.Shed(); n == 0 || !strings.Contains(b.String(), "sheds load") || !strings.Contains(b.String(), "more memory again") {
		t.Errorf("%d refused; the log says:\n%s", n, b.String())
	}
	for l, want := range []int{256 << 10, 64 << 10, 16 << 10, 16 << 10} {
		a.SetLevel(Level(l))
		if got := a.Window(256 << 10); got != want {
			t.Errorf("%s: window %d, want %d", Level(l), got, want)
		}
	}
}

// What is alive counts, garbage does not.
func TestMemoryInUse(t *testing.T) {
	m := newMemory()
	collect() // what tests before this one have left
	before := m.used()
	keep := make([][]byte, 64)
	for i := range keep {
		keep[i] = make([]byte, 1<<20)
	}
	collect()
	if got := m.used(); got < before+60<<20 {
		t.Errorf("64 MiB more are alive, and the use went from %d to %d", before, got)
	}
	for i := range keep {
		keep[i] = nil
	}
	collect()
	if got := m.used(); got > before+40<<20 {
		t.Errorf("nothing is alive, and the use is %d, at first %d", got, before)
	}
}

func TestShadowHost(t *testing.T) {
	for in, want := range map[string]string{"api": "api-shadow", "api:80": "api-shadow:80", "[fd00::1]:80": "[fd00::1]-shadow:80", "": "-shadow"} {
		if got := string(shadowHost([]byte(in))); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func collect() { runtime.GC(); runtime.GC() }
