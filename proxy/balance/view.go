package balance

import (
	"math"
	"time"
)

// view is who gets traffic at the moment. It is immutable.
type view struct {
	groups []group
	// sum of the groups' shares of the traffic.
	sum []uint64
	// panics are the priorities whose health is ignored.
	panics []uint32
}

// group is the members of a part that get traffic.
type group struct {
	index []uint32
	// sum[k] is the weight of index[0] to index[k]; nil when all weigh the same.
	sum []uint64
	// panic means that health is ignored.
	panic bool
	table table
}

func (v *view) group(random uint64) int {
	return search(v.sum, below(random, v.sum[len(v.sum)-1]))
}

func (v *view) inPanic(priority uint32) bool {
	for _, p := range v.panics {
		if p == priority {
			return true
		}
	}
	return false
}

// level is one priority.
type level struct {
	priority       uint32
	parts          []part
	total, healthy int
	load           uint64 // of whole
	panic          bool
}

// Refresh works out anew who gets traffic. It is to be called when a Detector
// has changed its mind about a member, and at the time that it returned before:
// the weights of members in slow start grow. 0 means that time changes nothing.
func (s *Set) Refresh(now int64) (next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &view{}
	var sum uint64
	for _, l := range s.levels() {
		if l.panic {
			v.panics = append(v.panics, l.priority)
		}
		shares := s.shares(&l)
		for i := range l.parts {
			if l.load == 0 || shares[i] == 0 {
				continue
			}
			if g := s.group(&l.parts[i], l.panic, now); len(g.index) > 0 {
				sum += l.load * shares[i]
				v.groups, v.sum = append(v.groups, g), append(v.sum, sum)
			}
		}
	}
	s.view.Store(v)
	return s.due(now)
}

// levels divides the traffic among the priorities (Envoy, "priority levels" and
// "panic threshold"). Health is a priority's share of healthy members times the
// overprovisioning factor; each takes what those before it cannot.
func (s *Set) levels() []level {
	var ls []level
	for i := range s.parts {
		p := &s.parts[i]
		if len(ls) == 0 || ls[len(ls)-1].priority != p.priority {
			ls = append(ls, level{priority: p.priority})
		}
		l := &ls[len(ls)-1]
		l.parts = append(l.parts, *p)
		l.total += len(p.index)
		l.healthy += s.count(p)
	}
	health := make([]float64, len(ls))
	sum := 0.0
	for i := range ls {
		health[i] = s.available(ls[i].healthy, ls[i].total)
		sum += health[i]
	}
	all := min(1, sum)
	if all > 1-rounding {
		all = 1
	}
	panicking := all < 1
	for i := range ls {
		l := &ls[i]
		l.panic = all < 1 && 100*float64(l.healthy)/float64(l.total) < s.options.PanicPercent
		panicking = panicking && l.panic
	}
	if panicking {
		// All are: the traffic follows the number of members, healthy or not.
		members := 0
		for _, l := range ls {
			members += l.total
		}
		share(ls, func(i int) float64 { return float64(ls[i].total) / float64(members) })
		return ls
	}
	if all > 0 {
		share(ls, func(i int) float64 { return health[i] / all })
	}
	return ls
}

// rounding is what sums of a few floating-point shares of 1 may lack: two halves
// of a service that together can take everything must not look as if they could
// not, for then ejected members would be used.
const rounding = 1e-9

// available is what healthy of total members can take of the traffic meant for
// all, 0 to 1.
func (s *Set) available(healthy, total int) float64 {
	factor := float64(s.options.Overprovisioning)
	if factor == 0 {
		factor = 140
	}
	return min(1, factor/100*float64(healthy)/float64(total))
}

// share gives out the whole in order; what rounding leaves goes to the first
// that got any.
func share(ls []level, want func(int) float64) {
	left, first := uint64(whole), -1
	for i := range ls {
		n := min(left, uint64(want(i)*whole))
		ls[i].load = n
		left -= n
		if n > 0 && first < 0 {
			first = i
		}
	}
	if first >= 0 {
		ls[first].load += left
	}
}

func (s *Set) count(p *part) (healthy int) {
	for _, i := range p.index {
		if s.healthy(i) {
			healthy++
		}
	}
	return healthy
}

// whole is a share of 1.
const whole = 1 << 20

// shares divides the traffic of a priority among its parts.
func (s *Set) shares(l *level) []uint64 {
	out := make([]uint64, len(l.parts))
	switch {
	case len(l.parts) == 1:
		out[0] = whole
		return out
	case l.panic:
		for i := range l.parts {
			out[i] = whole * uint64(len(l.parts[i].index)) / uint64(l.total)
		}
		return out
	case s.options.LocalityWeighted && s.byLocality(l, out):
		return out
	}
	for i := range l.parts {
		out[i] = whole * uint64(s.count(&l.parts[i])) / uint64(max(l.healthy, 1))
	}
	if s.options.ZonePercent > 0 && l.priority == 0 && !s.options.LocalityWeighted {
		s.byZone(l, out)
	}
	return out
}

// byLocality uses the weights of localities, each times how available it is
// (Envoy, "locality weighted load balancing"). A locality without a weight gets
// nothing; where none has one it says false.
func (s *Set) byLocality(l *level, out []uint64) bool {
	sum := 0.0
	weighted := make([]float64, len(out))
	for i := range l.parts {
		p := &l.parts[i]
		weighted[i] = float64(p.weight) * s.available(s.count(p), len(p.index))
		sum += weighted[i]
	}
	if sum == 0 {
		return false
	}
	for i := range out {
		out[i] = uint64(whole * weighted[i] / sum)
	}
	return true
}

// byZone prefers the proxy's own zone (Envoy, "zone aware routing"). A proxy
// does not know how many of its kind are in each zone and takes it that they
// are spread evenly: each zone has to serve a share of one in the number of
// zones. Where its own zone has more members than that it keeps all traffic;
// otherwise the rest goes to the zones that have some to spare.
func (s *Set) byZone(l *level, out []uint64) {
	own := -1
	for i := range l.parts {
		if p := &l.parts[i]; p.locality.Region == s.options.Zone.Region && p.locality.Zone == s.options.Zone.Zone {
			own = i
		}
	}
	if own < 0 || out[own] == 0 || uint64(l.total) < s.options.MinZoneSize {
		return
	}
	even := uint64(whole / len(out))
	aware := make([]uint64, len(out))
	if out[own] >= even {
		aware[own] = whole
	} else {
		var spare uint64
		for i := range out {
			if i != own && out[i] > even {
				spare += out[i] - even
			}
		}
		aware[own] = out[own] * whole / even
		for i := range out {
			if i != own && out[i] > even {
				aware[i] = (whole - aware[own]) * (out[i] - even) / spare
			}
		}
	}
	percent := uint64(math.Min(s.options.ZonePercent, 100))
	for i := range out {
		out[i] = (aware[i]*percent + out[i]*(100-percent)) / 100
	}
}

// group makes the group of a part. Where the algorithm hashes it holds the
// unhealthy members too: the table is passed on to the next one, so that none of
// the others' keys move.
func (s *Set) group(p *part, panicking bool, now int64) group {
	g := group{panic: panicking, table: p.table}
	if s.options.Algorithm.hashes() || panicking {
		g.index = p.index
	} else {
		for _, i := range p.index {
			if s.healthy(i) {
				g.index = append(g.index, i)
			}
		}
	}
	var total uint64
	even := true
	sum := make([]uint64, len(g.index))
	first := uint64(0)
	for k, i := range g.index {
		w := s.weight(i, now)
		if k == 0 {
			first = w
		}
		even = even && w == first
		total += w
		sum[k] = total
	}
	if !even {
		g.sum = sum
	}
	return g
}

// scale makes room for the fractions of slow start.
const scale = 1000

// weight is an entry's weight, times scale. During slow start it is
// weight * max(minimum, (age / window) ^ (1 / aggression)).
func (s *Set) weight(i uint32, now int64) uint64 {
	w := uint64(s.entries[i].Weight) * scale
	o := &s.options.SlowStart
	age := now - s.entries[i].Joined
	if o.Window <= 0 || age >= int64(o.Window) {
		return w
	}
	f := float64(max(age, int64(time.Second))) / float64(o.Window)
	if o.Aggression > 0 {
		f = math.Pow(f, 1/o.Aggression)
	}
	f = min(1, max(f, o.MinPercent/100))
	return max(uint64(float64(w)*f), 1)
}

// due is when the weights should be worked out again.
func (s *Set) due(now int64) int64 {
	w := int64(s.options.SlowStart.Window)
	if w <= 0 || s.options.Algorithm.hashes() {
		return 0
	}
	for i := range s.entries {
		if now-s.entries[i].Joined < w {
			return now + max(w/50, int64(50*time.Millisecond))
		}
	}
	return 0
}
