package upstream

import (
	"time"
)

const (
	// minKeep is how often the keeper wakes at most.
	minKeep = 10 * time.Millisecond
	// minReap is how often a pool is looked through at most.
	minReap = 50 * time.Millisecond
)

// keep is what happens by time alone: idle connections are closed, unused
// original destinations forgotten, ejections ended, weights raised. One goroutine
// does it for all clusters and sleeps until something is due.
func (r *Registry) keep() {
	t := time.NewTimer(r.opts.IdleTimeout / 4)
	defer t.Stop()
	forget := time.Now()
	for {
		now := time.Now()
		if now.Sub(forget) >= r.opts.IdleTimeout/4 {
			forget = now
			r.forgetOriginals(now)
		}
		due := min(r.keepClusters(now), r.keepPools(now), r.at(forget.Add(r.opts.IdleTimeout/4)))
		r.due.Store(due)
		t.Reset(max(time.Duration(due-r.now()), minKeep))
		select {
		case <-r.closed:
			return
		case <-t.C:
		case <-r.wake:
		}
	}
}

// nudge says that something is due at a time; 0 means that the keeper is to
// look for itself.
func (r *Registry) nudge(at int64) {
	if at != 0 && at >= r.due.Load() {
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Registry) forgetOriginals(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.clusters {
		c.dynamic.forget(r, now.Add(-r.opts.IdleTimeout))
	}
}

// far is a time that does not come.
const far = int64(1) << 62

func (r *Registry) keepClusters(now time.Time) (due int64) {
	due = far
	r.mu.Lock()
	cs := make([]*Cluster, 0, len(r.clusters))
	for _, c := range r.clusters {
		cs = append(cs, c)
	}
	r.mu.Unlock()
	for _, c := range cs {
		if at := c.keep(r.at(now)); at != 0 {
			due = min(due, at)
		}
	}
	return due
}

// keep returns when the cluster wants to be kept again; 0 is never.
func (c *Cluster) keep(now int64) (due int64) {
	changed, due := c.detector.Sweep(now)
	s := c.state.Load()
	if changed || s.spec.Balance.SlowStart.Window > 0 {
		if at := s.set.Refresh(now); at != 0 && (due == 0 || at < due) {
			due = at
		}
		if c.state.Load().set != s.set {
			c.refresh()
		}
	}
	return due
}

// keepPools looks through the pools whose turn it is.
func (r *Registry) keepPools(now time.Time) (due int64) {
	due = far
	r.mu.Lock()
	ps := make([]*peer, 0, len(r.peers))
	for _, p := range r.peers {
		ps = append(ps, p)
	}
	r.mu.Unlock()
	for _, p := range ps {
		idle := r.opts.IdleTimeout
		every := idle / 4
		if s := p.settings.Load(); s != nil {
			if s.Idle > 0 {
				idle = s.Idle
				every = idle / 4
			}
			if s.MaxAge > 0 {
				every = min(every, s.MaxAge/4)
			}
		}
		every = max(every, minReap)
		if p.reap.IsZero() || p.reap.Sub(now) > every {
			p.reap = now.Add(every)
		}
		if !now.Before(p.reap) {
			p.closeIdle(idle)
			p.reap = now.Add(every)
		}
		due = min(due, r.at(p.reap))
	}
	return due
}
