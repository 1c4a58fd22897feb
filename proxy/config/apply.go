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

// applyClusters brings the registry up to date, for wanted clusters.
func (s *Store) applyClusters() {
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
		case answer == absent && a.endpoints != noEndpoints:
			s.opts.Registry.SetEndpoints(name, nil)
			a.endpoints = noEndpoints
		}
	}
}

// noEndpoints stands for an assignment that does not exist.
var noEndpoints = &assignment{}

// dropClusters removes from the registry what nothing in effect uses.
func (s *Store) dropClusters() {
	for name := range s.applied {
		if e := s.clusters.entries[name]; e == nil || !e.wanted || e.answer == absent {
			s.opts.Registry.Remove(name)
			delete(s.applied, name)
		}
	}
}
