package balance

import "math/rand/v2"

// None is the index that a Picker returns when nothing can be chosen.
const None = -1

// Query is one request's wish. The zero value wants anything.
type Query struct {
	// Now is the time of the pick.
	Now int64
	// Hash of the request's key, where Hashed; ring hash and Maglev follow it and
	// choose at random without. Others take no notice of it.
	Hash   uint64
	Hashed bool
	// Skip are members to be chosen only when there is no other.
	Skip Skip
}

// Picker chooses one entry of a set, or None where the set is empty or all that
// is in it has been taken out. It is safe for concurrent use.
type Picker interface {
	Pick(s *Set, q *Query) int
}

// Random is a source of uniformly distributed numbers; it must be safe for
// concurrent use.
type Random func() uint64

func (r Random) orDefault() Random {
	if r == nil {
		return rand.Uint64
	}
	return r
}

// Algorithm is how one is chosen out of the members that get traffic.
type Algorithm uint8

const (
	// PeakEWMA prefers the better of two random members by latency and load.
	PeakEWMA Algorithm = iota
	// RoundRobin takes them in turn.
	RoundRobin
	// LeastRequest takes the one with the fewest requests of some random ones.
	LeastRequest
	// RandomChoice takes any.
	RandomChoice
	// RingHash takes the one that follows the request's hash on a ring.
	RingHash
	// Maglev looks the request's hash up in a table that all share evenly.
	Maglev
	algorithms
)

func (a Algorithm) String() string {
	return [...]string{"PEAK_EWMA", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"}[a]
}

// hashes says whether the algorithm follows a request's hash.
func (a Algorithm) hashes() bool { return a == RingHash || a == Maglev }

// New makes the picker of an algorithm. random may be nil.
func New(o Options, random Random) Picker {
	p := &picker{random: random.orDefault()}
	switch o.Algorithm {
	case RoundRobin:
		p.alg = &roundRobin{}
	case LeastRequest:
		p.alg = &leastRequest{random: p.random, count: int(max(o.ChoiceCount, 2)), bias: o.ActiveRequestBias}
	case RandomChoice:
		p.alg = &anyMember{p.random}
	case RingHash, Maglev:
		p.alg = &hashed{p.random}
	default:
		p.alg = &peakEWMA{p.random}
	}
	return p
}

// algorithm chooses within a group: a fit member, or None.
type algorithm interface {
	choose(s *Set, g *group, q *Query) int
}

// picker does what all algorithms have in common: it chooses the group first.
type picker struct {
	random Random
	alg    algorithm
}

func (p *picker) Pick(s *Set, q *Query) int {
	v := s.view.Load()
	if len(v.groups) > 0 {
		g := &v.groups[0]
		if len(v.groups) > 1 {
			g = &v.groups[v.group(p.number(q))]
		}
		if i := p.alg.choose(s, g, q); i != None && s.claim(i, q) {
			return i
		}
	}
	if i := s.last(v, q, p.number(q)); i != None && s.claim(i, q) {
		return i
	}
	return None
}

// number is random, or follows the hash where there is one.
func (p *picker) number(q *Query) uint64 {
	if q.Hashed {
		if _, ok := p.alg.(*hashed); ok {
			return mix(q.Hash ^ prime5)
		}
	}
	return p.random()
}

// anyMember draws by weight.
type anyMember struct{ random Random }

func (p *anyMember) choose(s *Set, g *group, q *Query) int {
	i := g.draw(p.random(), None)
	if s.fit(g.index[i], q, g.panic) {
		return int(g.index[i])
	}
	return s.drawFit(g, q, p.random())
}
