package balance

import (
	"math"
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"
)

const second = int64(time.Second)

// world is a random set with members in random states.
type world struct {
	entries []Entry
	skip    Skip
	now     int64
}

func newWorld(r *rand.Rand) world {
	w := world{now: r.Int64N(100 * second)}
	even := r.IntN(2) == 0
	for i, n := 0, r.IntN(12); i < n; i++ {
		m := NewMember(0)
		for j, k := 0, r.IntN(5); j < k; j++ {
			m.Begin()
		}
		for j, k := 0, r.IntN(4); j < k; j++ {
			m.Observe(r.Int64N(w.now+1), time.Duration(r.IntN(1e9)))
		}
		if r.IntN(3) == 0 {
			m.Fail(w.now - int64(r.IntN(int(2*MinPenalty))))
		}
		e := Entry{Member: m, Weight: 3, Draining: r.IntN(4) == 0}
		if !even {
			e.Weight = uint32(r.IntN(5))
		}
		w.entries = append(w.entries, e)
		if r.IntN(4) == 0 {
			w.skip.Add(m)
		}
	}
	return w
}

// allowed is the naive twin of fitness: the best class that has any member.
func (w *world) allowed() map[int]bool {
	classes := []func(Entry) bool{
		func(e Entry) bool { return !w.skip.Has(e.Member) && !e.Draining && !e.Member.Penalised(w.now) },
		func(e Entry) bool { return !w.skip.Has(e.Member) && !e.Draining },
		func(e Entry) bool { return !w.skip.Has(e.Member) },
		func(e Entry) bool { return true },
	}
	for _, c := range classes {
		out := map[int]bool{}
		for i, e := range w.entries {
			if c(e) {
				out[i] = true
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return nil
}

func TestPicksComeFromTheBestClass(t *testing.T) {
	law := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(r)
		s := NewSet(append([]Entry(nil), w.entries...))
		allowed := w.allowed()
		for _, p := range []Picker{NewPeakEWMA(r.Uint64), NewLeastLoaded(r.Uint64), NewRoundRobin()} {
			seen := map[int]bool{}
			for i := 0; i < 400; i++ {
				at := p.Pick(s, w.now, &w.skip)
				if len(w.entries) == 0 {
					if at != None {
						return false
					}
					continue
				}
				if at < 0 || !allowed[at] {
					t.Logf("%T picked %d of %v", p, at, allowed)
					return false
				}
				seen[at] = true
			}
			// Round robin leaves nobody out.
			if _, ok := p.(*roundRobin); ok && len(seen) != len(allowed) {
				t.Logf("round robin used %v of %v", seen, allowed)
				return false
			}
		}
		return true
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 300, Rand: nil}); err != nil {
		t.Error(err)
	}
}

// The naive twin of two choices: draw by walking, compare.
func TestTwoChoicesTakeTheCheaperOfTheDrawn(t *testing.T) {
	for seed := uint64(0); seed < 300; seed++ {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(r)
		n := len(w.entries)
		if n < 2 {
			continue
		}
		even := true
		for i := range w.entries {
			w.entries[i].Weight = max(w.entries[i].Weight, 1)
			even = even && w.entries[i].Weight == w.entries[0].Weight
			w.entries[i].Draining = false
			w.entries[i].Member.Succeed()
		}
		s := NewSet(append([]Entry(nil), w.entries...))
		draws := [2]uint64{r.Uint64(), r.Uint64()}
		at := 0
		got := NewPeakEWMA(func() uint64 { at++; return draws[at-1] }).Pick(s, w.now, nil)

		walk := func(random uint64, without int) int {
			var total uint64
			for i, e := range w.entries {
				if i != without {
					total += uint64(e.Weight)
				}
			}
			x := new(bigMul).scale(random, total)
			for i, e := range w.entries {
				if i == without {
					continue
				}
				if x < uint64(e.Weight) {
					return i
				}
				x -= uint64(e.Weight)
			}
			return -1
		}
		a := walk(draws[0], -1)
		without := -1
		if even {
			without = a
		}
		b := walk(draws[1], without)
		want := a
		if w.entries[b].Member.Cost(w.now) < w.entries[a].Member.Cost(w.now) {
			want = b
		}
		if got != want {
			t.Fatalf("seed %d: picked %d, the twin %d (drew %d and %d)", seed, got, want, a, b)
		}
	}
}

// bigMul scales a random number by long division of halves, another way than
// the product's high word.
type bigMul struct{}

func (*bigMul) scale(random, n uint64) uint64 {
	hi, lo := random>>32, random&math.MaxUint32
	return (hi*n + lo*n>>32) >> 32
}

func set(now int64, weights ...uint32) *Set {
	var es []Entry
	for _, w := range weights {
		es = append(es, Entry{Member: NewMember(now), Weight: w})
	}
	return NewSet(es)
}

func counts(p Picker, s *Set, now int64, n int) []int {
	out := make([]int, s.Len())
	for i := 0; i < n; i++ {
		out[p.Pick(s, now, nil)]++
	}
	return out
}

func TestRoundRobinIsExact(t *testing.T) {
	for _, c := range counts(NewRoundRobin(), set(0, 1, 1, 1, 1), 0, 400) {
		if c != 100 {
			t.Errorf("share %d of 400", c)
		}
	}
	got := counts(NewRoundRobin(), set(0, 70, 20, 10), 0, 1000)
	for i, want := range []int{700, 200, 100} {
		if d := got[i] - want; d < -5 || d > 5 {
			t.Errorf("member %d: %d of 1000, want %d", i, got[i], want)
		}
	}
	// The share of an unfit member is spread evenly.
	s := set(0, 1, 1, 1, 1)
	s.Entry(1).Member.Fail(0)
	got = counts(NewRoundRobin(), s, 1, 1200)
	for i, want := range []int{400, 0, 400, 400} {
		if d := got[i] - want; d < -2 || d > 2 {
			t.Errorf("member %d: %d of 1200, want %d", i, got[i], want)
		}
	}
}

func TestEqualMembersShareByWeight(t *testing.T) {
	for _, weights := range [][]uint32{{1, 1, 1, 1, 1}, {9, 1}, {5, 3, 2}} {
		r := rand.New(rand.NewPCG(7, 7))
		const n = 20000
		got := counts(NewLeastLoaded(r.Uint64), set(0, weights...), 0, n)
		total := 0.0
		for _, w := range weights {
			total += float64(w)
		}
		for i, w := range weights {
			if want := float64(w) / total; math.Abs(float64(got[i])/n-want) > 0.02 {
				t.Errorf("weights %v: member %d got %d of %d", weights, i, got[i], n)
			}
		}
	}
}

// A slow member gets less in a simulation of requests that take their time, and
// is used again when it has become fast.
func TestPeakEWMAAvoidsTheSlow(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	p, s := NewPeakEWMA(r.Uint64), set(0, 1, 1, 1)
	latency := []time.Duration{time.Millisecond, time.Millisecond, 100 * time.Millisecond}
	type done struct {
		at  int64
		who int
	}
	var flying []done
	var now int64
	run := func(n int) []int {
		got := make([]int, 3)
		for i := 0; i < n; i++ {
			now += int64(time.Millisecond)
			rest := flying[:0]
			for _, f := range flying {
				if f.at > now {
					rest = append(rest, f)
					continue
				}
				m := s.Entry(f.who).Member
				m.End()
				m.Observe(f.at, latency[f.who])
			}
			flying = rest
			at := p.Pick(s, now, nil)
			s.Entry(at).Member.Begin()
			flying = append(flying, done{now + int64(latency[at]), at})
			got[at]++
		}
		return got
	}
	run(1000)
	if got := run(10000); got[2] > 500 || got[0] < 4000 || got[1] < 4000 {
		t.Errorf("with one slow member: %v", got)
	}
	latency[2] = time.Millisecond
	run(100000) // the estimate decays
	if got := run(9000); got[2] < 2000 {
		t.Errorf("after it became fast: %v", got)
	}
}

func TestMemberEstimates(t *testing.T) {
	m := NewMember(0)
	if got := m.Latency(0); got != float64(SeedLatency) {
		t.Errorf("seed %v", got)
	}
	m.Observe(0, 50*time.Millisecond)
	if got := m.Latency(0); got != float64(50*time.Millisecond) {
		t.Errorf("peak %v", got)
	}
	m.Observe(int64(Decay), 10*time.Millisecond)
	want := 50e6/math.E + 10e6*(1-1/math.E)
	if got := m.Latency(int64(Decay)); math.Abs(got-want) > 1 {
		t.Errorf("mean %v, want %v", got, want)
	}
	if got := m.Latency(1000 * second); got != floor {
		t.Errorf("decayed to %v", got)
	}
	if got := m.Latency(0); got <= 0 || math.IsNaN(got) {
		t.Errorf("a clock that steps back: %v", got)
	}
	m.Begin()
	if got := m.Cost(1000 * second); got != 2*floor {
		t.Errorf("cost %v", got)
	}
}

func TestPenaltiesDouble(t *testing.T) {
	m, now := NewMember(0), int64(0)
	want := MinPenalty
	for i := 0; i < 12; i++ {
		m.Fail(now)
		m.Fail(now + 1) // while it lasts: no more
		if m.Penalised(now+int64(want)) || !m.Penalised(now+int64(want)-1) {
			t.Fatalf("failure %d: not penalised for %v", i, want)
		}
		now += int64(want)
		want = min(2*want, MaxPenalty)
	}
	m.Succeed()
	if m.Penalised(now) {
		t.Error("still penalised after a success")
	}
	m.Fail(now)
	if m.Penalised(now + int64(MinPenalty)) {
		t.Error("a success does not forget the failures")
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	s := set(0, 1, 2, 3, 4)
	s.Entry(0).Member.Fail(0)
	var skip Skip
	skip.Add(s.Entry(1).Member)
	for _, p := range []Picker{NewPeakEWMA(nil), NewLeastLoaded(nil), NewRoundRobin()} {
		if n := testing.AllocsPerRun(100, func() { p.Pick(s, 1, &skip) }); n != 0 {
			t.Errorf("%T: %v allocations", p, n)
		}
	}
}
