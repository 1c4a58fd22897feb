package balance

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// twinHost and twin are outlier detection written down again, step by step as
// Envoy's documentation has it, without any of the shortcuts.
type twinHost struct {
	errors, gateway, local uint32
	ejected                bool
	since                  int64
	times                  int
	all, good              [2]float64
}

type twin struct {
	c     Outlier
	hosts []*twinHost
}

func (w *twin) eject(h *twinHost, now int64) {
	out := 0
	for _, o := range w.hosts {
		if o.ejected {
			out++
		}
	}
	if h.ejected || 100*float64(out)/float64(len(w.hosts)) >= float64(w.c.MaxEjectionPercent) && !(w.c.AlwaysEjectOne && out == 0) {
		return
	}
	h.ejected, h.since = true, now
	if time.Duration(h.times)*w.c.BaseEjection < w.c.MaxEjection {
		h.times++
	}
}

func (w *twin) answer(h *twinHost, o Outcome, now int64) {
	isLocal := o == ConnectFailed || o == TimedOut
	if w.c.SplitLocal {
		h.all[local]++
		if isLocal {
			if h.local++; h.local == w.c.ConsecutiveLocal {
				h.local = 0
				if w.c.EnforceLocal > 0 {
					w.eject(h, now)
				}
			}
			return
		}
		h.good[local]++
		h.local = 0
		if o == Connected {
			return
		}
	}
	h.all[external]++
	if o == Good || o == Connected {
		h.good[external]++
		h.errors, h.gateway = 0, 0
		return
	}
	if o == ServerError {
		h.gateway = 0
	} else if h.gateway++; h.gateway == w.c.ConsecutiveGateway {
		h.gateway = 0
		if w.c.EnforceGateway > 0 {
			w.eject(h, now)
		}
	}
	if h.errors++; h.errors == w.c.Consecutive5xx {
		h.errors = 0
		if w.c.Enforce5xx > 0 {
			w.eject(h, now)
		}
	}
}

func (w *twin) interval(now int64) {
	for _, h := range w.hosts {
		if !h.ejected {
			h.times = max(h.times-1, 0)
			continue
		}
		if now-h.since >= int64(min(time.Duration(h.times)*w.c.BaseEjection, w.c.MaxEjection)) {
			*h = twinHost{times: h.times, all: h.all, good: h.good}
		}
	}
	for _, o := range []int{external, local} {
		if o == local && !w.c.SplitLocal {
			continue
		}
		enforceRate, enforcePercent := w.c.EnforceSuccessRate, w.c.EnforceFailurePercent
		if o == local {
			enforceRate, enforcePercent = w.c.EnforceLocalSuccessRate, w.c.EnforceLocalFailurePercent
		}
		rates := map[*twinHost]float64{}
		var sum, squares, n, measured float64
		for _, h := range w.hosts {
			if h.ejected || h.all[o] == 0 {
				continue
			}
			rates[h] = 100 * h.good[o] / h.all[o]
			if h.all[o] >= float64(w.c.SuccessRateVolume) {
				n++
				sum += rates[h]
				squares += rates[h] * rates[h]
			}
			if h.all[o] >= float64(w.c.FailurePercentVolume) {
				measured++
			}
		}
		deviation := math.Sqrt(math.Max(0, squares/n-sum/n*sum/n))
		for _, h := range w.hosts {
			r, ok := rates[h]
			if ok && enforceRate > 0 && n >= float64(w.c.SuccessRateMinHosts) && h.all[o] >= float64(w.c.SuccessRateVolume) &&
				r < sum/n-deviation*float64(w.c.SuccessRateStdevFactor)/1000-1e-9 {
				w.eject(h, now)
			}
		}
		for _, h := range w.hosts {
			r, ok := rates[h]
			if ok && enforcePercent > 0 && measured >= float64(w.c.FailurePercentMinHosts) && h.all[o] >= float64(w.c.FailurePercentVolume) &&
				100-r >= float64(w.c.FailurePercentThreshold) {
				w.eject(h, now)
			}
		}
		for _, h := range w.hosts {
			h.all[o], h.good[o] = 0, 0
		}
	}
}

func TestOutlierDetectionFollowsEnvoy(t *testing.T) {
	ejections := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 6))
		c := DefaultOutlier()
		c.Consecutive5xx, c.ConsecutiveGateway, c.ConsecutiveLocal = uint32(r.IntN(8)), uint32(r.IntN(6)), uint32(r.IntN(6))
		c.EnforceGateway, c.EnforceFailurePercent = uint32(100*r.IntN(2)), uint32(100*r.IntN(2))
		c.EnforceSuccessRate = uint32(100 * r.IntN(2))
		c.SplitLocal, c.MaxEjectionPercent = r.IntN(2) == 0, uint32(r.IntN(101))
		c.AlwaysEjectOne = r.IntN(3) == 0
		c.SuccessRateVolume, c.FailurePercentVolume, c.FailurePercentThreshold = 10, 10, 60
		c.BaseEjection, c.MaxEjection = 15*time.Second, 50*time.Second
		n := 1 + r.IntN(12)
		d, w := NewDetector(r.Uint64), &twin{c: c}
		d.Configure(Detection{Outliers: true, Outlier: c}, 0)
		var hosts []*Health
		bad := make([]float64, n)
		for i := range n {
			hosts = append(hosts, &Health{})
			w.hosts = append(w.hosts, &twinHost{})
			bad[i] = math.Pow(r.Float64(), 3)
		}
		d.SetHosts(hosts)
		next := int64(c.Interval)
		for now := int64(0); now < 200*second; now += int64(50 * time.Millisecond) {
			if now >= next {
				_, next = d.Sweep(now)
				w.interval(now)
			}
			i := r.IntN(n)
			o := Good
			if r.Float64() < bad[i] {
				o = Outcome(1 + r.IntN(5))
			}
			d.Report(hosts[i], o, now)
			w.answer(w.hosts[i], o, now)
			out := 0
			for k := range hosts {
				if hosts[k].Out() != w.hosts[k].ejected {
					t.Fatalf("seed %d at %v: host %d is out: %t, the twin says %t", seed, time.Duration(now), k, hosts[k].Out(), w.hosts[k].ejected)
				}
				out += btoi(hosts[k].Out())
			}
			if got, _, _ := d.Counts(); got != out {
				t.Fatalf("seed %d: counts %d, %d are out", seed, got, out)
			}
		}
		_, k, _ := d.Counts()
		ejections += int(k)
	}
	if ejections < 300 {
		t.Errorf("the test has ejected %d times in all", ejections)
	}
}

func TestEjectionTimesGrow(t *testing.T) {
	c := DefaultOutlier()
	c.Consecutive5xx, c.MaxEjectionPercent, c.Interval, c.MaxEjection = 1, 100, time.Second, 100*time.Second
	c.MaxEjectionJitter = 3 * time.Second
	d := NewDetector(nil)
	d.Configure(Detection{Outliers: true, Outlier: c}, 0)
	h := &Health{}
	d.SetHosts([]*Health{h, {}})
	now := int64(0)
	for _, want := range []int64{30, 60, 90, 100, 100} {
		if !d.Report(h, ServerError, now) || !h.Out() {
			t.Fatal("not ejected")
		}
		began := now
		for h.Out() {
			now += second
			d.Sweep(now)
		}
		if got := (now - began) / second; got < want || got > want+4 {
			t.Errorf("ejected for %d s, want %d", got, want)
		}
	}
	// Each interval in good health takes one back.
	for range 10 {
		now += second
		d.Sweep(now)
	}
	d.Report(h, ServerError, now)
	began := now
	for h.Out() {
		now += second
		d.Sweep(now)
	}
	if got := (now - began) / second; got > 34 {
		t.Errorf("after a time of health it was ejected for %d s", got)
	}
}

func TestEnforcingPercentAndReconfiguration(t *testing.T) {
	c := DefaultOutlier()
	c.Consecutive5xx, c.MaxEjectionPercent, c.Enforce5xx = 1, 100, 30
	r := rand.New(rand.NewPCG(1, 1))
	d := NewDetector(r.Uint64)
	d.Configure(Detection{Outliers: true, Outlier: c}, 0)
	var hosts []*Health
	for range 2000 {
		hosts = append(hosts, &Health{})
	}
	d.SetHosts(hosts)
	for _, h := range hosts {
		d.Report(h, GatewayError, 1)
	}
	out, _, spared := d.Counts()
	if out < 500 || out > 700 || int(spared) != 2000-out {
		t.Errorf("with 30 %% enforced %d of 2000 were ejected, %d spared", out, spared)
	}
	c.Enforce5xx = 100
	if d.Configure(Detection{Outliers: true, Outlier: c}, 2) {
		t.Error("a change of a percentage lets members in")
	}
	if n, _, _ := d.Counts(); n != out {
		t.Errorf("%d are out after a change, %d before", n, out)
	}
	d.SetHosts(hosts[:1000])
	if n, _, _ := d.Counts(); n >= out {
		t.Error("those that left are still counted")
	}
	if !d.Configure(Detection{}, 3) {
		t.Error("nothing changes without detection")
	}
	if n, _, _ := d.Counts(); n != 0 {
		t.Errorf("%d are out without detection", n)
	}
}

// Linkerd's breaker: out after so many failures, one probe after each penalty,
// which doubles, and in again after one success.
func TestFailureAccrual(t *testing.T) {
	a := Accrual{MaxFailures: 3, MinPenalty: time.Second, MaxPenalty: 8 * time.Second, Jitter: 0.5}
	d := NewDetector(nil)
	d.Configure(Detection{Accrual: a}, 0)
	h, other := &Health{}, &Health{}
	d.SetHosts([]*Health{h, other})
	s := NewSet([]Entry{{Member: NewMember(), Health: h}, {Member: NewMember(), Health: other}}, Options{Algorithm: RoundRobin}, 0)
	p, now := New(Options{Algorithm: RoundRobin}, nil), int64(0)
	tell := func(o Outcome) {
		if d.Report(h, o, now) {
			s.Refresh(now)
		}
	}
	picks := func() (n int) {
		for range 10 {
			if p.Pick(s, &Query{Now: now}) == 0 {
				n++
			}
		}
		return n
	}
	for _, o := range []Outcome{ServerError, GatewayError, Good, ServerError, ConnectFailed} {
		tell(o)
	}
	if picks() != 5 {
		t.Fatal("out before three failures in a row")
	}
	tell(TimedOut)
	for i, want := range []int64{1, 2, 4, 8, 8} {
		if picks() != 0 {
			t.Fatal("picked while it is out")
		}
		tell(Good) // of before
		if picks() != 0 {
			t.Fatal("a late answer has let it in")
		}
		began := now
		for n := 0; n == 0; n = picks() {
			now += second / 10
			if changed, _ := d.Sweep(now); changed {
				s.Refresh(now)
			}
			if now-began > 20*second {
				t.Fatal("it is never probed")
			}
		}
		if got := float64(now-began) / float64(second); got < float64(want) || got > float64(want)*1.5+0.2 {
			t.Errorf("penalty %d took %v s, want %d and at most half more", i, got, want)
		}
		if picks() != 0 {
			t.Fatal("more than one probe")
		}
		tell(ServerError)
	}
	// A probe whose outcome is never known is repeated.
	probes := 0
	for range 300 {
		now += second / 10
		if changed, _ := d.Sweep(now); changed {
			s.Refresh(now)
		}
		probes += picks()
	}
	if probes < 2 || probes > 5 {
		t.Errorf("%d probes in 30 s whose outcomes were lost", probes)
	}
	tell(Good)
	if picks() != 5 || h.State() != "in" {
		t.Errorf("not in after a success: %s", h.State())
	}
	tell(ServerError)
	tell(ServerError)
	if picks() != 5 {
		t.Error("the failures of before are not forgotten")
	}
}

// Many goroutines report and pick at once; what is counted adds up.
func TestConcurrentDetection(t *testing.T) {
	for _, c := range []Detection{{Outliers: true, Outlier: DefaultOutlier()}, {Accrual: Accrual{MaxFailures: 2, MinPenalty: time.Millisecond, MaxPenalty: time.Millisecond}}} {
		c.Outlier.MaxEjectionPercent, c.Outlier.Interval, c.Outlier.BaseEjection, c.Outlier.MaxEjection = 60, time.Millisecond, time.Millisecond, time.Millisecond
		d := NewDetector(nil)
		d.Configure(c, 0)
		var hosts []*Health
		var es []Entry
		for range 8 {
			h := &Health{}
			hosts = append(hosts, h)
			es = append(es, Entry{Member: NewMember(), Health: h})
		}
		d.SetHosts(hosts)
		s, p := NewSet(es, Options{}, 0), New(Options{}, nil)
		done := make(chan struct{})
		for g := range uint64(4) {
			go func() {
				r := rand.New(rand.NewPCG(g, g))
				for now := int64(0); now < 20000; now++ {
					at := now * 10000
					if i := p.Pick(s, &Query{Now: at}); i != None {
						es[i].Member.Begin()
						es[i].Member.Observe(at, time.Millisecond)
						es[i].Member.End()
						if d.Report(hosts[i], Outcome(r.IntN(3)), at) {
							s.Refresh(at)
						}
					}
					if changed, _ := d.Sweep(at); changed {
						s.Refresh(at)
					}
				}
				done <- struct{}{}
			}()
		}
		for range 4 {
			<-done
		}
		out, ejected, _ := d.Counts()
		n := 0
		for _, h := range hosts {
			n += btoi(h.state.Load() != isIn)
		}
		if n != out || ejected == 0 {
			t.Errorf("%d are out, %d counted, %d ejections", n, out, ejected)
		}
	}
}

// Requests that are under way when their member is taken away say nothing about
// those that are left.
func TestMembersThatLeftAreNotCounted(t *testing.T) {
	for name, c := range map[string]Detection{
		"outliers": {Outliers: true, Outlier: DefaultOutlier()},
		"accrual":  {Accrual: Accrual{MaxFailures: 2, MinPenalty: time.Second, MaxPenalty: time.Minute}},
	} {
		d := NewDetector(nil)
		hosts := []*Health{{}, {}, {}}
		d.Configure(c, 0)
		d.SetHosts(hosts)
		d.SetHosts(hosts[:2])
		for range 10 {
			d.Report(hosts[2], ConnectFailed, 1)
		}
		if out, _, _ := d.Counts(); out != 0 || hosts[2].Out() {
			t.Errorf("%s: %d are out", name, out)
		}
		d.SetHosts(hosts) // it returns, as good as ever
		if hosts[2].Out() {
			t.Errorf("%s: a member that has returned is out", name)
		}
	}
}
