package translate

import (
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

type destinationKey struct {
	service       mesh.Ref
	scope, labels string
}

func keyOf(d *mesh.Destination) destinationKey {
	return destinationKey{d.Service, d.Scope, mesh.LabelString(d.Clients)}
}

// mergeDestinations joins what the families say of the use of endpoints: each
// part of a policy is that of the first family, in the order of families, which
// says something of it.
func mergeDestinations(frags []fragment.Fragment) []*mesh.Destination {
	var out []*mesh.Destination
	first := map[destinationKey]int{}
	byFamily := make([]map[destinationKey]*mesh.Destination, len(frags))
	used := 0
	for i, f := range frags {
		byFamily[i] = make(map[destinationKey]*mesh.Destination, len(f.Destinations))
		if len(f.Destinations) > 0 {
			used++
		}
		for _, d := range f.Destinations {
			k := keyOf(d)
			byFamily[i][k] = d
			if _, known := first[k]; !known {
				first[k] = len(out)
				out = append(out, d)
			}
		}
	}
	if used < 2 {
		return out
	}
	for i, d := range out {
		k := keyOf(d)
		merged := &mesh.Destination{Service: d.Service, Scope: d.Scope, Clients: d.Clients}
		for _, known := range byFamily {
			for _, key := range []destinationKey{k, {k.service, k.scope, ""}, {service: k.service}} {
				if from := known[key]; from != nil {
					under(merged, from)
					break
				}
			}
		}
		out[i] = merged
	}
	return out
}

// under puts a destination under one that has more say.
func under(to, from *mesh.Destination) {
	to.Origins = append(to.Origins, from.Origins...)
	fillPolicy(&to.Policy, from.Policy)
	to.Ports = underPorts(to.Ports, from.Ports, from.Policy)
	for i := range to.Subsets {
		fillPolicy(&to.Subsets[i].Policy, from.Policy)
		to.Subsets[i].Ports = underPorts(to.Subsets[i].Ports, from.Ports, from.Policy)
	}
	if len(to.Subsets) == 0 {
		to.Subsets = append(to.Subsets, from.Subsets...)
	}
}

func underPorts(to, from []mesh.PortPolicy, all mesh.Policy) []mesh.PortPolicy {
	out := append([]mesh.PortPolicy(nil), to...)
	for i := range out {
		p := all
		for j := range from {
			if from[j].Port == out[i].Port {
				p = from[j].Policy
			}
		}
		fillPolicy(&out[i].Policy, p)
	}
	if len(out) == 0 {
		return from
	}
	return out
}

func fillPolicy(to *mesh.Policy, from mesh.Policy) {
	fragment.Default(&to.Balancing, from.Balancing)
	fragment.Default(&to.Pool, from.Pool)
	fragment.Default(&to.Outlier, from.Outlier)
	fragment.Default(&to.Accrual, from.Accrual)
	fragment.Default(&to.TLS, from.TLS)
	fragment.Default(&to.RetryBudget, from.RetryBudget)
	fragment.Default(&to.ProxyProtocol, from.ProxyProtocol)
}

// detectors tells failure accruals that outlier detection stands in their place.
func detectors(list []*mesh.Destination) []mesh.Problem {
	var out []mesh.Problem
	told := map[mesh.Origin]bool{}
	for _, d := range list {
		policies := []*mesh.Policy{&d.Policy}
		for i := range d.Ports {
			policies = append(policies, &d.Ports[i].Policy)
		}
		for i := range d.Subsets {
			policies = append(policies, &d.Subsets[i].Policy)
		}
		for _, p := range policies {
			if p.Outlier == nil || p.Accrual == nil || told[p.Accrual.Origin] {
				continue
			}
			told[p.Accrual.Origin] = true
			out = append(out, problem.New(problem.AccrualOutranked, p.Accrual.Origin, "metadata.annotations[balancer.linkerd.io/failure-accrual]",
				"the outlierDetection of "+p.Outlier.Origin.String()+" is in effect instead, where it applies", "say one of the two"))
		}
	}
	return out
}
