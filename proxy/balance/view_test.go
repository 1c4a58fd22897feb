package balance

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"

	"github.com/weftmesh/weft/internal/seedtest"
)

// levelsTwin is the division of traffic among priorities, by the letter of
// Envoy's documentation ("Priority levels", "Panic threshold"), in exact numbers.
func levelsTwin(total, healthy []int, factor, threshold float64) (load []float64, panics []bool) {
	n := len(total)
	load, panics = make([]float64, n), make([]bool, n)
	health, exact := make([]float64, n), new(big.Rat)
	for i := range total {
		h := big.NewRat(int64(factor)*int64(healthy[i]), int64(total[i]))
		if h.Cmp(big.NewRat(100, 1)) > 0 {
			h.SetInt64(100)
		}
		health[i], _ = h.Float64()
		exact.Add(exact, h)
	}
	sum, _ := exact.Float64()
	normal := math.Min(100, sum)
	all := exact.Cmp(big.NewRat(100, 1)) < 0
	enough := !all
	for i := range total {
		panics[i] = !enough && 100*float64(healthy[i]) < threshold*float64(total[i])
		all = all && panics[i]
	}
	members := 0
	for _, t := range total {
		members += t
	}
	left := 100.0
	for i := range total {
		want := 0.0
		switch {
		case all:
			want = 100 * float64(total[i]) / float64(members)
		case normal > 0:
			want = math.Min(left, health[i]*100/normal)
		}
		load[i] = want
		left -= want
	}
	return load, panics
}

func TestPrioritiesSpillOver(t *testing.T) {
	law := func(seed uint64) bool {
		r := rand.New(rand.NewPCG(seed, 4))
		o := Options{Algorithm: RandomChoice, PanicPercent: float64([]int{0, 30, 50}[r.IntN(3)]), Overprovisioning: []uint32{0, 100, 200}[r.IntN(3)]}
		factor := float64(o.Overprovisioning)
		if factor == 0 {
			factor = 140
		}
		n := 1 + r.IntN(3)
		total, healthy := make([]int, n), make([]int, n)
		var es []Entry
		for p := range n {
			total[p] = 1 + r.IntN(10)
			healthy[p] = r.IntN(total[p] + 1)
			for i := range total[p] {
				h := &Health{}
				if i >= healthy[p] {
					h.state.Store(isOut)
				}
				es = append(es, Entry{Member: NewMember(), Health: h, Priority: uint32(p)})
			}
		}
		r.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
		load, panics := levelsTwin(total, healthy, factor, o.PanicPercent)
		s, p := NewSet(es, o, 0), New(o, r.Uint64)
		const picks = 4000
		got, sick := make([]int, n), make([]int, n)
		none := 0
		for range picks {
			i := p.Pick(s, &Query{})
			if i == None {
				none++
				continue
			}
			got[es[i].Priority]++
			if es[i].Health.Out() {
				sick[es[i].Priority]++
			}
		}
		anybody := 0.0
		for k := range n {
			anybody += load[k]
			if math.Abs(float64(got[k])*100/picks-load[k]) > 5 {
				t.Logf("total %v healthy %v factor %v panic %v: got %v, want %v", total, healthy, factor, o.PanicPercent, got, load)
				return false
			}
			if !panics[k] && sick[k] > 0 {
				t.Logf("total %v healthy %v: ejected members of priority %d got %d without panic", total, healthy, k, sick[k])
				return false
			}
			if want := float64(got[k]) * (1 - float64(healthy[k])/float64(total[k])); panics[k] && got[k] > 500 && math.Abs(float64(sick[k])-want) > 5*math.Sqrt(float64(got[k])) {
				t.Logf("total %v healthy %v: in panic ejected members of priority %d got %d of %d", total, healthy, k, sick[k], got[k])
				return false
			}
		}
		return (anybody > 0) == (none < picks)
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 150, Rand: seedtest.Rand(t)}); err != nil {
		t.Error(err)
	}
}

// Two priorities that can take all traffic together, though neither is healthy
// to a whole percent, leave the ejected alone.
func TestPrioritiesThatTogetherSuffice(t *testing.T) {
	o := Options{Algorithm: RandomChoice, PanicPercent: 50, Overprovisioning: 100}
	es := located([]string{"", ""}, []int{7, 7}, []int{1, 6}, []uint32{0, 0})
	for i := range es {
		es[i].Priority = uint32(i / 7)
	}
	s, p, got := NewSet(es, o, 0), New(o, rand.New(rand.NewPCG(1, 2)).Uint64), 0.0
	for range 20000 {
		i := p.Pick(s, &Query{})
		if i == None || es[i].Health.Out() {
			t.Fatal("an ejected member, or nobody, serves")
		}
		if es[i].Priority == 0 {
			got += 1.0 / 20000
		}
	}
	if math.Abs(got-1.0/7) > 0.02 {
		t.Errorf("priority 0 gets %.3f, want a seventh", got)
	}
}

// located makes members of localities with so many healthy of so many.
func located(zones []string, total, healthy []int, weights []uint32) []Entry {
	var es []Entry
	for z := range zones {
		for i := range total[z] {
			h := &Health{}
			if i >= healthy[z] {
				h.state.Store(isOut)
			}
			es = append(es, Entry{Member: NewMember(), Health: h, Locality: Locality{Zone: zones[z]}, LocalityWeight: weights[z]})
		}
	}
	return es
}

func zoneShares(o Options, es []Entry) map[string]float64 {
	r := rand.New(rand.NewPCG(1, 9))
	s, p, got := NewSet(es, o, 0), New(o, r.Uint64), map[string]float64{}
	for range 20000 {
		if i := p.Pick(s, &Query{}); i != None {
			got[es[i].Locality.Zone] += 1.0 / 20000
		}
	}
	return got
}

func TestLocalities(t *testing.T) {
	zones := []string{"a", "b", "c"}
	for what, c := range map[string]struct {
		o              Options
		total, healthy []int
		weights        []uint32
		want           map[string]float64
	}{
		"by number of members":        {Options{}, []int{2, 3, 5}, []int{2, 3, 5}, []uint32{1, 1, 1}, map[string]float64{"a": 0.2, "b": 0.3, "c": 0.5}},
		"by weight":                   {Options{LocalityWeighted: true}, []int{2, 3, 5}, []int{2, 3, 5}, []uint32{7, 2, 1}, map[string]float64{"a": 0.7, "b": 0.2, "c": 0.1}},
		"enough is healthy":           {Options{LocalityWeighted: true}, []int{4, 4, 4}, []int{3, 4, 4}, []uint32{1, 1, 0}, map[string]float64{"a": 0.5, "b": 0.5}},
		"availability counts":         {Options{LocalityWeighted: true}, []int{10, 10, 10}, []int{5, 10, 10}, []uint32{1, 1, 0}, map[string]float64{"a": 0.7 / 1.7, "b": 1 / 1.7}},
		"one is gone":                 {Options{LocalityWeighted: true}, []int{1, 4, 4}, []int{0, 4, 4}, []uint32{9, 1, 1}, map[string]float64{"b": 0.5, "c": 0.5}},
		"no weights at all":           {Options{LocalityWeighted: true}, []int{1, 1, 2}, []int{1, 1, 2}, []uint32{0, 0, 0}, map[string]float64{"a": 0.25, "b": 0.25, "c": 0.5}},
		"own zone has enough":         {Options{ZonePercent: 100, Zone: Locality{Zone: "c"}}, []int{2, 2, 6}, []int{2, 2, 6}, []uint32{0, 0, 0}, map[string]float64{"c": 1}},
		"own zone has too few":        {Options{ZonePercent: 100, Zone: Locality{Zone: "a"}}, []int{1, 4, 5}, []int{1, 4, 5}, []uint32{0, 0, 0}, map[string]float64{"a": 0.3, "b": 0.7 * (0.4 - 1/3.) / (0.9 - 2/3.), "c": 0.7 * (0.5 - 1/3.) / (0.9 - 2/3.)}},
		"half of the traffic":         {Options{ZonePercent: 50, Zone: Locality{Zone: "c"}}, []int{2, 2, 6}, []int{2, 2, 6}, []uint32{0, 0, 0}, map[string]float64{"a": 0.1, "b": 0.1, "c": 0.8}},
		"too small to prefer":         {Options{ZonePercent: 100, MinZoneSize: 20, Zone: Locality{Zone: "c"}}, []int{2, 2, 6}, []int{2, 2, 6}, []uint32{0, 0, 0}, map[string]float64{"a": 0.2, "b": 0.2, "c": 0.6}},
		"own zone is gone":            {Options{ZonePercent: 100, Zone: Locality{Zone: "c"}}, []int{2, 2, 1}, []int{2, 2, 0}, []uint32{0, 0, 0}, map[string]float64{"a": 0.5, "b": 0.5}},
		"zones that are not here":     {Options{ZonePercent: 100, Zone: Locality{Zone: "x"}}, []int{2, 2, 6}, []int{2, 2, 6}, []uint32{0, 0, 0}, map[string]float64{"a": 0.2, "b": 0.2, "c": 0.6}},
		"panic does not know of them": {Options{PanicPercent: 60, LocalityWeighted: true}, []int{2, 3, 5}, []int{1, 1, 1}, []uint32{7, 2, 1}, map[string]float64{"a": 0.2, "b": 0.3, "c": 0.5}},
	} {
		c.o.Algorithm = RandomChoice
		got := zoneShares(c.o, located(zones, c.total, c.healthy, c.weights))
		for _, z := range zones {
			if math.Abs(got[z]-c.want[z]) > 0.02 {
				t.Errorf("%s: %v, want %v", what, got, c.want)
				break
			}
		}
	}
}

func TestSlowStart(t *testing.T) {
	slow := SlowStart{Window: 60 * time.Second, Aggression: 1, MinPercent: 10}
	for _, a := range []Algorithm{RoundRobin, LeastRequest, PeakEWMA} {
		for _, aggression := range []float64{0.5, 1, 2} {
			slow.Aggression = aggression
			o := Options{Algorithm: a, SlowStart: slow}
			es := []Entry{{Member: NewMember(), Joined: -100 * second}, {Member: NewMember(), Joined: 0}}
			s := NewSet(es, o, 0)
			r := rand.New(rand.NewPCG(2, 2))
			p := New(o, r.Uint64)
			for _, age := range []int64{0, 1, 5, 15, 30, 45, 59, 60, 100} {
				now := age * second
				next := s.Refresh(now)
				if (next == 0) != (age >= 60) {
					t.Errorf("at %d s the next change is due at %v", age, time.Duration(next))
				}
				f := math.Pow(math.Max(float64(age), 1)/60, 1/aggression)
				f = math.Min(1, math.Max(f, 0.1))
				got := counts(p, s, now, 20000)
				if want := f / (1 + f); math.Abs(float64(got[1])/20000-want) > 0.02 {
					t.Errorf("%v, aggression %v, %d s old: %v, want a share of %.3f", a, aggression, age, got, want)
				}
			}
		}
	}
}
