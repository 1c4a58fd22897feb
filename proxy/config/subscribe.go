package config

import (
	"github.com/weftmesh/weft/proxy/upstream"
)

// builtin clusters are known without being sent.
func builtin(name string) bool {
	return name == upstream.PassthroughCluster || name == upstream.BlackHoleCluster || name == invalidBackend
}

// subscribe derives what is needed from what has arrived: each resource names
// the next ones. It is called with the lock.
func (s *Store) subscribe() {
	ls := map[string]bool{virtualInbound: true, virtualOutbound: true, siblings: !s.prewarmed}
	rs, cs, es := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, t := range s.dests {
		ls[name] = true
		// What is in effect is kept until its successor is complete.
		if t.made.listener != nil {
			addNames(t.made.listener, rs, cs)
			t.made.routes.clusterNames(cs)
		}
		if l, a := s.listeners.get(name); a == present {
			addNames(l, rs, cs)
		}
	}
	s.collectors(cs)
	for name := range rs {
		if r, a := s.routes.get(name); a == present {
			r.clusterNames(cs)
		}
	}
	for name := range cs {
		if c, a := s.clusters.get(name); a == present && c.eds != "" {
			es[c.eds] = true
		}
	}
	s.listeners.want(ls)
	s.routes.want(rs)
	s.clusters.want(cs)
	s.endpoints.want(es)
	s.secrets.want(map[string]bool{rootCA: true})
	s.kick()
}

// addNames adds what a listener names.
func addNames(l *listener, rs, cs map[string]bool) {
	if l.http != nil {
		if l.http.route != "" {
			rs[l.http.route] = true
		}
		l.http.inline.clusterNames(cs)
	}
	if l.tcp != nil {
		addClusters(cs, l.tcp.shares)
	}
	for i := range l.special {
		addClusters(cs, l.special[i].tcp.shares)
	}
}

func addClusters(cs map[string]bool, shares []share) {
	for i := range shares {
		if n := shares[i].cluster; !builtin(n) {
			cs[n] = true
		}
	}
}

func (r *routes) clusterNames(cs map[string]bool) {
	if r == nil {
		return
	}
	for i := range r.rules {
		addClusters(cs, r.rules[i].shares)
		if t := r.rules[i].traffic; t != nil {
			for j := range t.Mirrors {
				if n := t.Mirrors[j].Name; !builtin(n) {
					cs[n] = true
				}
			}
		}
	}
}
