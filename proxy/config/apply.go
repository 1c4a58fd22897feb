package config

import (
	"github.com/weftmesh/weft/proxy/upstream"
)

// applied is a cluster as the registry has it.
type applied struct {
	from      *cluster
	endpoints *assignment
	handle    *upstream.Cluster
}

// applyClusters brings the registry up to date, for wanted clusters. It says
// whether endpoints that are gone stay for a moment, since they are in use until
// newer content is complete.
func (s *Store) applyClusters() (held bool) {
	inUse := s.yielding()
	for name, e := range s.clusters.entries {
		if !e.wanted || e.answer != present {
			continue
		}
		a := s.applied[name]
		if a == nil {
			a = &applied{}
			s.applied[name] = a
		}
		c := e.value
		if a.from != c {
			a.handle = s.opts.Registry.Apply(c.spec)
			if c.eds == "" && c.spec.Kind == upstream.Pushed {
				s.opts.Registry.Assign(name, upstream.Assignment{Endpoints: c.static, Overprovisioning: c.overprovisioning})
			}
			a.from = c
		}
		if c.eds == "" {
			a.endpoints = nil
			continue
		}
		switch v, answer := s.endpoints.get(c.eds); {
		case answer == present && a.endpoints != v:
			s.opts.Registry.Assign(name, upstream.Assignment{Endpoints: v.endpoints, Overprovisioning: v.overprovisioning})
			a.endpoints = v
		case answer == absent && a.endpoints != noEndpoints && inUse[name]:
			held = true
		case answer == absent && a.endpoints != noEndpoints:
			s.opts.Registry.SetEndpoints(name, nil)
			a.endpoints = noEndpoints
		}
	}
	return held
}

// yielding are the clusters of content whose successor is waited for.
func (s *Store) yielding() map[string]bool {
	var out map[string]bool
	for _, t := range s.dests {
		if !t.behind {
			continue
		}
		if out == nil {
			out = map[string]bool{}
		}
		for name := range t.made.clusters {
			out[name] = true
		}
	}
	return out
}

// noEndpoints stands for an assignment that does not exist.
var noEndpoints = &assignment{}

// dropClusters removes from the registry what nothing in effect uses.
func (s *Store) dropClusters() {
	inUse := s.yielding()
	for name := range s.applied {
		if e := s.clusters.entries[name]; e == nil || !e.wanted || e.answer == absent && !inUse[name] {
			s.opts.Registry.Remove(name)
			delete(s.applied, name)
		}
	}
}
