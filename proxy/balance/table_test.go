package balance

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"testing"
)

func addresses(n int) []Entry {
	var es []Entry
	for i := range n {
		es = append(es, Entry{Member: NewMember(), Health: &Health{}, Key: fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250+1)})
	}
	return es
}

// owners are where so many keys go.
func owners(o Options, es []Entry, keys int) []string {
	s, p := NewSet(es, o, 0), New(o, nil)
	out := make([]string, keys)
	r := rand.New(rand.NewPCG(8, 8))
	for k := range out {
		if i := p.Pick(s, &Query{Hash: r.Uint64(), Hashed: true}); i != None {
			out[k] = es[i].Key
		}
	}
	return out
}

func moved(a, b []string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestFewKeysMove(t *testing.T) {
	const keys = 20000
	for _, o := range []Options{{Algorithm: RingHash}, {Algorithm: Maglev}} {
		for _, n := range []int{2, 5, 20, 100} {
			es := addresses(n)
			before := owners(o, es, keys)
			// Their order is of no meaning.
			mixed := append([]Entry(nil), es...)
			rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
			if k := moved(before, owners(o, mixed, keys)); k != 0 {
				t.Errorf("%v of %d: %d keys moved by the order", o.Algorithm, n, k)
			}
			own := 0
			for _, k := range before {
				if k == es[n-1].Key {
					own++
				}
			}
			// One is removed: its keys move, and with Maglev some others.
			after := owners(o, es[:n-1], keys)
			slack := 0
			if o.Algorithm == Maglev {
				slack = keys / 25
			}
			if k := moved(before, after); k < own || k > own+slack {
				t.Errorf("%v: %d of %d keys moved when one of %d left that had %d", o.Algorithm, k, keys, n, own)
			}
			if want := keys / n; own > want*3/2 || own < want/2 {
				t.Errorf("%v: one of %d had %d of %d keys", o.Algorithm, n, own, keys)
			}
			// One is ejected: its keys move, and not one besides.
			es[n-1].Health.state.Store(isOut)
			after = owners(o, es, keys)
			if k := moved(before, after); k != own {
				t.Errorf("%v: %d keys moved when one of %d was ejected that had %d", o.Algorithm, k, n, own)
			}
			if n > 5 {
				// They go to many others.
				heirs := map[string]bool{}
				for i := range before {
					if before[i] != after[i] {
						heirs[after[i]] = true
					}
				}
				if len(heirs) < n/2 {
					t.Errorf("%v: the keys of one of %d went to %d", o.Algorithm, n, len(heirs))
				}
			}
			es[n-1].Health.state.Store(isIn)
		}
	}
}

// ringTwin finds the owner by looking at every point.
func ringTwin(es []Entry, points map[uint64]int, h uint64) int {
	hashes := make([]uint64, 0, len(points))
	for p := range points {
		hashes = append(hashes, p)
	}
	sort.Slice(hashes, func(i, j int) bool { return hashes[i] < hashes[j] })
	for _, p := range hashes {
		if p >= h {
			return points[p]
		}
	}
	return points[hashes[0]]
}

func TestRingIsKetama(t *testing.T) {
	es := addresses(3)
	es[0].Weight, es[1].Weight, es[2].Weight = 1, 2, 1
	o := Options{Algorithm: RingHash, MinRing: 8}
	s, p := NewSet(es, o, 0), New(o, nil)
	points := map[uint64]int{}
	for i, n := range []int{4, 8, 4} {
		for k := range n {
			points[HashString(fmt.Sprintf("%s_%d", es[i].Key, k))] = i
		}
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range 2000 {
		h := r.Uint64()
		if got, want := p.Pick(s, &Query{Hash: h, Hashed: true}), ringTwin(es, points, h); got != want {
			t.Fatalf("hash %x: %d, the twin %d", h, got, want)
		}
	}
	for _, size := range []struct {
		o    Options
		n    int
		want int
	}{{Options{MinRing: 1000}, 3, 1536}, {Options{MinRing: 1024, MaxRing: 1024}, 3, 768}, {Options{MinRing: 1}, 5, 5}, {Options{}, 1, 1024}, {Options{}, 100, 25600}, {Options{MinRing: 8, MaxRing: 8}, 20, 20}} {
		size.o.Algorithm = RingHash
		if got := len(NewSet(addresses(size.n), size.o, 0).parts[0].table.(ring)); got != size.want {
			t.Errorf("%+v with %d members: %d points, want %d", size.o, size.n, got, size.want)
		}
	}
}

func TestMaglevIsEven(t *testing.T) {
	es := addresses(7)
	for i := range es {
		es[i].Weight = uint32(i + 1)
	}
	m := NewSet(es, Options{Algorithm: Maglev}, 0).parts[0].table.(*maglev)
	got := make([]int, len(es))
	for _, i := range m.slots {
		got[i]++
	}
	for i, n := range got {
		want := DefaultTableSize * (i + 1) / 28
		if n < want*98/100 || n > want*102/100 {
			t.Errorf("member %d has %d slots, want %d", i, n, want)
		}
	}
	for n, want := range map[uint64]bool{0: false, 1: false, 2: true, 9: false, 65537: true, 65539: true, 65541: false, MaxTableSize: true} {
		if Prime(n) != want {
			t.Errorf("Prime(%d) is %t", n, !want)
		}
	}
}
