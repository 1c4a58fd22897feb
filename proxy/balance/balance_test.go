package balance

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/quick"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/weftmesh/weft/internal/seedtest"
)

const second = int64(time.Second)

// world is a random set with members in random states.
type world struct {
	entries []Entry
	options Options
	q       Query
}

func newWorld(r *rand.Rand) world {
	w := world{q: Query{Now: 100*second + r.Int64N(100*second), Hash: r.Uint64(), Hashed: r.IntN(2) == 0}}
	w.options.PanicPercent = []float64{0, 50, 100}[r.IntN(3)]
	w.options.LocalityWeighted = r.IntN(3) == 0
	w.options.TableSize = 251
	w.options.MinRing = 64
	even := r.IntN(2) == 0
	priorities := 1 + r.IntN(3)
	for i, n := 0, r.IntN(12); i < n; i++ {
		m := NewMember()
		for j, k := 0, r.IntN(5); j < k; j++ {
			m.Begin()
		}
		for j, k := 0, r.IntN(4); j < k; j++ {
			m.Observe(r.Int64N(w.q.Now+1), time.Duration(r.IntN(1e9)))
		}
		if r.IntN(3) == 0 {
			m.Fail(w.q.Now - int64(r.IntN(int(2*MinPenalty))))
		}
		h := &Health{}
		if r.IntN(3) == 0 {
			h.state.Store(isOut)
		}
		e := Entry{Member: m, Health: h, Weight: 3, Draining: r.IntN(4) == 0, Unhealthy: r.IntN(6) == 0,
			Priority: uint32(r.IntN(priorities)), Key: string(rune('a' + i)), Locality: Locality{Zone: string(rune('x' + r.IntN(2)))}, LocalityWeight: uint32(1 + r.IntN(3))}
		if !even {
			e.Weight = uint32(r.IntN(5))
		}
		w.entries = append(w.entries, e)
		if r.IntN(4) == 0 {
			w.q.Skip.Add(m)
		}
	}
	return w
}

// allowed is the naive twin of what may be picked: first what is healthy, or
// anything where a priority panics; of that the best class.
func (w *world) allowed(inPanic func(uint32) bool) map[int]bool {
	open := func(e Entry) bool { return !e.Unhealthy && !e.Health.Out() || inPanic(e.Priority) }
	classes := []func(Entry) bool{
		func(e Entry) bool { return !w.q.Skip.Has(e.Member) && !e.Draining && !e.Member.Penalised(w.q.Now) },
		func(e Entry) bool { return !w.q.Skip.Has(e.Member) && !e.Draining },
		func(e Entry) bool { return !w.q.Skip.Has(e.Member) },
		func(e Entry) bool { return true },
	}
	for _, c := range classes {
		out := map[int]bool{}
		for i, e := range w.entries {
			if open(e) && c(e) {
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
		for a := range algorithms {
			w.options.Algorithm = a
			w.options.ActiveRequestBias = 1
			s := NewSet(append([]Entry(nil), w.entries...), w.options, w.q.Now)
			allowed := w.allowed(s.view.Load().inPanic)
			p := New(w.options, r.Uint64)
			seen := map[int]bool{}
			for i := 0; i < 400; i++ {
				at := p.Pick(s, &w.q)
				if len(allowed) == 0 {
					if at != None {
						t.Logf("%v picked %d where nothing may be", a, at)
						return false
					}
					continue
				}
				if at < 0 || !allowed[at] {
					t.Logf("%v picked %d of %v", a, at, allowed)
					return false
				}
				seen[at] = true
			}
			if a.hashes() && w.q.Hashed && len(seen) > 1 {
				t.Logf("%v sends one key to %v", a, seen)
				return false
			}
		}
		return true
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 400, Rand: seedtest.Rand(t)}); err != nil {
		t.Error(err)
	}
}

// The naive twin of two choices: draw by walking, and compare by powers.
func TestTwoChoicesPreferTheCheaperOfTheDrawn(t *testing.T) {
	for seed := uint64(0); seed < 500; seed++ {
		r := rand.New(rand.NewPCG(seed, 2))
		w := newWorld(r)
		n := len(w.entries)
		if n < 2 {
			continue
		}
		even := true
		for i := range w.entries {
			e := &w.entries[i]
			e.Weight = max(e.Weight, 1)
			even = even && e.Weight == w.entries[0].Weight
			e.Draining, e.Unhealthy, e.Health, e.Priority = false, false, nil, 0
			e.Member.Succeed()
		}
		w.q.Skip.Reset()
		s := NewSet(append([]Entry(nil), w.entries...), Options{}, w.q.Now)
		draws := []uint64{r.Uint64(), r.Uint64()}
		at := 0
		got := New(Options{}, func() uint64 { at++; return draws[at-1] }).Pick(s, &w.q)

		walk := func(random uint64, without int) int {
			var total uint64
			for i, e := range w.entries {
				if i != without {
					total += uint64(e.Weight)
				}
			}
			// Weights are scaled, so the draw is too.
			if !even {
				x := bigScale(random, total*scale)
				for i, e := range w.entries {
					if x < uint64(e.Weight)*scale {
						return i
					}
					x -= uint64(e.Weight) * scale
				}
			}
			x := bigScale(random, uint64(n-btoi(without >= 0)))
			for i := range w.entries {
				if i == without {
					continue
				}
				if x == 0 {
					return i
				}
				x--
			}
			return -1
		}
		a := walk(draws[0], -1)
		without := -1
		if even {
			without = a
		}
		b := walk(mix(draws[0]), without)
		want := a
		if a != b {
			ma, mb := w.entries[a].Member, w.entries[b].Member
			ca, cb := math.Pow(float64(ma.Pending()+1), 4), math.Pow(float64(mb.Pending()+1), 4)
			if la, lb := ma.Latency(w.q.Now), mb.Latency(w.q.Now); la > 0 && lb > 0 {
				ca, cb = ca*la*la, cb*lb*lb
			}
			u := float64(draws[1]>>11) / (1 << 53)
			p := ca / (ca + cb)
			if math.Abs(u-p) < 1e-9 {
				continue
			}
			if u < p {
				want = b
			}
		}
		if got != want {
			t.Fatalf("seed %d: picked %d, the twin %d (drew %d and %d)", seed, got, want, a, b)
		}
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bigScale scales a random number by long division of halves, another way than
// the product's high word.
func bigScale(random, n uint64) uint64 {
	hi, lo := random>>32, random&math.MaxUint32
	return (hi*n + lo*n>>32) >> 32
}

func set(o Options, weights ...uint32) *Set {
	var es []Entry
	for i, w := range weights {
		es = append(es, Entry{Member: NewMember(), Health: &Health{}, Weight: w, Key: string(rune('a' + i)), Joined: -100 * second})
	}
	return NewSet(es, o, 0)
}

func counts(p Picker, s *Set, now int64, n int) []int {
	out := make([]int, s.Len())
	for i := 0; i < n; i++ {
		out[p.Pick(s, &Query{Now: now})]++
	}
	return out
}

func TestRoundRobinIsExact(t *testing.T) {
	o := Options{Algorithm: RoundRobin}
	for _, c := range counts(New(o, nil), set(o, 1, 1, 1, 1), 0, 400) {
		if c != 100 {
			t.Errorf("share %d of 400", c)
		}
	}
	got := counts(New(o, nil), set(o, 70, 20, 10), 0, 1000)
	for i, want := range []int{700, 200, 100} {
		if d := got[i] - want; d < -5 || d > 5 {
			t.Errorf("member %d: %d of 1000, want %d", i, got[i], want)
		}
	}
	// Smooth: the heavy one does not come in a row that its weight does not explain.
	p, s, run := New(o, nil), set(o, 2, 1, 1), 0
	for range 1000 {
		if p.Pick(s, &Query{}) == 0 {
			if run++; run > 3 {
				t.Fatal("four in a row for half of the weight")
			}
		} else {
			run = 0
		}
	}
	// The share of an unfit member is spread evenly.
	s = set(o, 1, 1, 1, 1)
	s.Entry(1).Member.Fail(0)
	got = counts(New(o, nil), s, 1, 1200)
	for i, want := range []int{400, 0, 400, 400} {
		if d := got[i] - want; d < -2 || d > 2 {
			t.Errorf("member %d: %d of 1200, want %d", i, got[i], want)
		}
	}
}

func TestSharesFollowWeights(t *testing.T) {
	for _, a := range []Algorithm{PeakEWMA, LeastRequest, RandomChoice, RingHash, Maglev, RoundRobin} {
		for _, weights := range [][]uint32{{1, 1, 1, 1, 1}, {9, 1}, {5, 3, 2}} {
			r := rand.New(rand.NewPCG(7, 7))
			const n = 20000
			o := Options{Algorithm: a, ActiveRequestBias: 1, MinRing: 64 << 10}
			p, s := New(o, r.Uint64), set(o, weights...)
			got := make([]int, len(weights))
			for range n {
				got[p.Pick(s, &Query{Hash: r.Uint64(), Hashed: true})]++
			}
			total := 0.0
			for _, w := range weights {
				total += float64(w)
			}
			for i, w := range weights {
				if want := float64(w) / total; math.Abs(float64(got[i])/n-want) > 0.02 {
					t.Errorf("%v, weights %v: member %d got %d of %d", a, weights, i, got[i], n)
				}
			}
		}
	}
}

func TestLeastRequest(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	load := func(s *Set, n ...int) {
		for i, k := range n {
			for range k {
				s.Entry(i).Member.Begin()
			}
		}
	}
	for _, choices := range []uint32{2, 3, 4, 9} {
		o := Options{Algorithm: LeastRequest, ChoiceCount: choices}
		s := set(o, 1, 1, 1, 1)
		load(s, 5, 1, 5, 5)
		got := counts(New(o, r.Uint64), s, 0, 10000)
		// The chance that the idle one is among the compared.
		want := 1 - math.Pow(0.75, float64(choices))
		if choices == 2 {
			want = 0.5 // two different ones
		} else if choices >= 4 {
			want = 1
		}
		if math.Abs(float64(got[1])/10000-want) > 0.02 {
			t.Errorf("choice_count %d: %v, want %v for the idle one", choices, got, want)
		}
	}
	// Envoy: weight / (active requests + 1) ^ bias.
	for _, bias := range []float64{0, 0.5, 1, 2} {
		o := Options{Algorithm: LeastRequest, ActiveRequestBias: bias}
		s := set(o, 2, 1)
		load(s, 3, 0)
		a := 2 / math.Pow(4, bias)
		got := counts(New(o, r.Uint64), s, 0, 20000)
		if want := a / (a + 1); math.Abs(float64(got[0])/20000-want) > 0.05 {
			t.Errorf("bias %v: %v, want a share of %v", bias, got, want)
		}
	}
}

func TestHashIsXXHash64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if got, want := Hash(b), xxhash.Sum64(b); got != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
		if HashString(string(b)) != Hash(b) {
			t.Fatal("HashString differs")
		}
		var d xxhash.Digest
		d.ResetWithSeed(1)
		d.Write(b)
		if hashSeed(b, 1) != d.Sum64() {
			t.Fatalf("%d bytes with a seed differ", n)
		}
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for a := range algorithms {
		for _, weights := range [][]uint32{{1, 1, 1, 1}, {1, 2, 3, 4}} {
			o := Options{Algorithm: a, ActiveRequestBias: 0.7, ChoiceCount: 3}
			s := set(o, weights...)
			s.Entry(0).Member.Fail(0)
			q := Query{Now: 1, Hash: 77, Hashed: true}
			q.Skip.Add(s.Entry(1).Member)
			p := New(o, nil)
			if n := testing.AllocsPerRun(100, func() { q.Hash++; p.Pick(s, &q) }); n != 0 {
				t.Errorf("%v: %v allocations", a, n)
			}
		}
	}
	d := NewDetector(nil)
	d.Configure(Detection{Outliers: true, Outlier: DefaultOutlier()}, 0)
	h := &Health{}
	if n := testing.AllocsPerRun(100, func() { d.Report(h, ServerError, 1); d.Report(h, Good, 1) }); n != 0 {
		t.Errorf("an outcome costs %v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	for a := range algorithms {
		for _, n := range []int{2, 10, 1000} {
			b.Run(a.String()+"/"+strconv.Itoa(n), func(b *testing.B) {
				b.ReportAllocs()
				o := Options{Algorithm: a, ActiveRequestBias: 1}
				var es []Entry
				for i := range n {
					m := NewMember()
					m.Observe(0, time.Duration(1+i)*time.Microsecond)
					es = append(es, Entry{Member: m, Health: &Health{}, Key: strconv.Itoa(i)})
				}
				s, p := NewSet(es, o, 0), New(o, nil)
				q := Query{Now: second, Hashed: true}
				for b.Loop() {
					q.Hash += prime1
					p.Pick(s, &q)
				}
			})
		}
	}
}

func BenchmarkOutcome(b *testing.B) {
	d, h, m := NewDetector(nil), &Health{}, NewMember()
	d.Configure(Detection{Outliers: true, Outlier: DefaultOutlier()}, 0)
	b.ReportAllocs()
	for now := int64(0); b.Loop(); now += 10000 {
		m.Observe(now, time.Millisecond)
		d.Report(h, Good, now)
	}
}
