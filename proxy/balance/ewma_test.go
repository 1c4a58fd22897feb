package balance

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// sim is a service in simulated time: requests take what latency says, times
// how many the member carries already where it queues.
type sim struct {
	set     *Set
	pick    Picker
	now     int64
	flying  []flight
	latency func(who int) time.Duration
	total   time.Duration // of what has ended
	ended   int
}

type flight struct {
	at    int64
	began int64
	who   int
}

func newSim(a Algorithm, members int, latency func(who int) time.Duration) *sim {
	o := Options{Algorithm: a}
	weights := make([]uint32, members)
	for i := range weights {
		weights[i] = 1
	}
	r := rand.New(rand.NewPCG(3, 3))
	return &sim{set: set(o, weights...), pick: New(o, r.Uint64), latency: latency}
}

// run sends n requests at random times, so many of them in a second.
func (m *sim) run(r *rand.Rand, n int, rate float64) []int {
	got := make([]int, m.set.Len())
	for range n {
		m.now += int64(r.ExpFloat64() / rate * float64(time.Second))
		rest := m.flying[:0]
		for _, f := range m.flying {
			if f.at > m.now {
				rest = append(rest, f)
				continue
			}
			x := m.set.Entry(f.who).Member
			x.End()
			x.Observe(f.at, time.Duration(f.at-f.began))
			m.total += time.Duration(f.at - f.began)
			m.ended++
		}
		m.flying = rest
		at := m.pick.Pick(m.set, &Query{Now: m.now})
		m.set.Entry(at).Member.Begin()
		m.flying = append(m.flying, flight{m.now + int64(m.latency(at)), m.now, at})
		got[at]++
	}
	return got
}

func (m *sim) mean() time.Duration { return m.total / time.Duration(m.ended) }

// A slow member gets less, and is used again when it has become fast.
func TestPeakEWMAAvoidsTheSlow(t *testing.T) {
	slow := 100 * time.Millisecond
	r := rand.New(rand.NewPCG(1, 1))
	latency := func(who int) time.Duration {
		if who == 2 {
			return slow
		}
		return time.Millisecond
	}
	m := newSim(PeakEWMA, 3, latency)
	m.run(r, 1000, 1000)
	if got := m.run(r, 10000, 1000); got[2] > 200 || got[0] < 4000 || got[1] < 4000 {
		t.Errorf("with one slow member: %v", got)
	}
	slow = time.Millisecond
	m.run(r, 100000, 1000) // the estimate decays
	if got := m.run(r, 9000, 1000); got[2] < 2000 {
		t.Errorf("after it became fast: %v", got)
	}
}

// Slow answers of one of two members cost little of what they cost round robin.
func TestPeakEWMABeatsRoundRobin(t *testing.T) {
	for _, rate := range []float64{5, 50, 1000} {
		for _, factor := range []float64{3, 10, 100} {
			var mean [2]time.Duration
			for i, a := range []Algorithm{PeakEWMA, RoundRobin} {
				r := rand.New(rand.NewPCG(5, 5))
				m := newSim(a, 2, func(who int) time.Duration {
					l := r.ExpFloat64() * float64(2*time.Millisecond)
					if who == 1 {
						l *= factor
					}
					return time.Duration(l)
				})
				m.run(r, 20000, rate)
				mean[i] = m.mean()
			}
			// The best possible is 2 / (1 + factor); two fifths of the way are demanded:
			// load counts too.
			best := 2 / (1 + factor)
			if got := float64(mean[0]) / float64(mean[1]); got > best+0.6*(1-best) {
				t.Errorf("%v rps, %v times slower: %v against %v of round robin", rate, factor, mean[0], mean[1])
			}
		}
	}
}

// Two equal members that are hardly loaded both get their share, in every few
// seconds, whatever single slow answers there are.
func TestOneSlowAnswerStarvesNobody(t *testing.T) {
	for _, rate := range []float64{10, 30, 100} {
		r := rand.New(rand.NewPCG(11, 11))
		m := newSim(PeakEWMA, 2, func(int) time.Duration {
			if r.IntN(200) == 0 {
				return 100 * time.Millisecond // a collection of garbage, say
			}
			return time.Duration(float64(time.Millisecond) * (0.8 + 0.4*r.Float64()))
		})
		m.run(r, 100, rate)
		const window = 3 // seconds
		all, low := [2]int{}, 0
		const windows = 200
		for range windows {
			got := m.run(r, int(rate*window), rate)
			all[0], all[1] = all[0]+got[0], all[1]+got[1]
			if min(got[0], got[1])*10 < got[0]+got[1] {
				low++
			}
		}
		if low > windows/25 {
			t.Errorf("%v rps: in %d of %d windows of %d s one of two equal members got below a tenth", rate, low, windows, window)
		}
		if d := float64(all[0]) / float64(all[0]+all[1]); math.Abs(d-0.5) > 0.05 {
			t.Errorf("%v rps: %v in all", rate, all)
		}
	}
}

func TestMemberEstimates(t *testing.T) {
	m := NewMember()
	if got := m.Latency(0); got != 0 {
		t.Errorf("of what was never measured: %v", got)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > want*0.02 {
			t.Errorf("%s: %v, want %v", what, time.Duration(got), time.Duration(want))
		}
	}
	m.Observe(0, 10*time.Millisecond)
	near("first", m.Latency(0), 10e6)
	m.Observe(0, 100*time.Millisecond)
	near("peak", m.Latency(0), 100e6)
	near("the peak falls fast", m.Latency(int64(MinPeak)), 90e6/math.E+10e6*math.Exp(-0.025))
	near("to the average", m.Latency(3*second), 10e6*math.Exp(-0.3))
	for i := range int64(8) { // slow time after time
		m.Observe(4*second+i*second, 100*time.Millisecond)
	}
	if got := m.Latency(15 * second); got < 35e6 {
		t.Errorf("what was always slow is forgotten in 4 s: %v", time.Duration(got))
	}
	if got := m.Latency(1000 * second); got != floor {
		t.Errorf("decayed to %v", got)
	}
	if got := m.Latency(0); got <= 0 || math.IsNaN(got) {
		t.Errorf("a clock that steps back: %v", got)
	}
	// The stamp wraps around after 52 days.
	late := int64(1) << 52
	m = NewMember()
	m.Observe(late-1, time.Millisecond)
	if got := m.Latency(late + 2<<tickShift); got > 2e6 || got <= floor {
		t.Errorf("across the wrap: %v", time.Duration(got))
	}
}

func TestPenaltiesDouble(t *testing.T) {
	m, now := NewMember(), int64(0)
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
