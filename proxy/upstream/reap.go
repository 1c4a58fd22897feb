package upstream

import "time"

// reap closes idle connections and forgets unused original destinations.
func (r *Registry) reap() {
	t := time.NewTicker(r.opts.IdleTimeout / 4)
	defer t.Stop()
	for {
		select {
		case <-r.closed:
			return
		case <-t.C:
		}
		before := time.Now().Add(-r.opts.IdleTimeout)
		r.mu.Lock()
		peers := make([]*peer, 0, len(r.peers))
		for _, p := range r.peers {
			peers = append(peers, p)
		}
		for _, c := range r.clusters {
			c.dynamic.forget(r, before)
		}
		r.mu.Unlock()
		for _, p := range peers {
			p.closeIdle(r.opts.IdleTimeout)
		}
	}
}
