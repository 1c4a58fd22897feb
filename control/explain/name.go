package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// ndots is what Kubernetes writes into the resolv.conf of pods: names with
// fewer dots are looked for in the search domains first.
const ndots = 5

// found is what a name means.
type found struct {
	service *mesh.Service
	// pod is the workload that has the address.
	pod  *mesh.Workload
	addr netip.Addr
	how  string
}

// resolve finds what a host means to a client of a namespace, as its
// resolv.conf and its cluster's DNS would.
func (x *explainer) resolve(host string) found {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return x.address(a.Unmap())
	}
	domain := x.in.Mesh.Settings.ClusterDomain
	search := []string{x.in.Client.Namespace + ".svc." + domain, "svc." + domain, domain}
	absolute := strings.HasSuffix(host, ".")
	name := lower(strings.TrimSuffix(host, "."))
	type try struct{ name, how string }
	var tries []try
	if !absolute {
		for _, s := range search {
			tries = append(tries, try{name + "." + s, "search domain " + s})
		}
	}
	asIs := try{name, "the full name"}
	if strings.Count(name, ".") >= ndots || absolute {
		tries = append([]try{asIs}, tries...)
	} else {
		tries = append(tries, asIs)
	}
	for _, t := range tries {
		if s := x.view.Backend(t.name); s != nil {
			return found{service: s, how: t.how}
		}
	}
	// A ServiceEntry may be for all names below one; the most special counts.
	var best *mesh.Service
	for _, s := range x.in.Mesh.Services {
		if strings.HasPrefix(s.Host, "*") && mesh.HostCovers(s.Host, name) && (best == nil || len(s.Host) > len(best.Host)) {
			best = s
		}
	}
	if best != nil {
		return found{service: x.view.Service(best.Ref), how: "below " + best.Host}
	}
	return found{how: "not a Service, nor the host of a ServiceEntry"}
}

func (x *explainer) address(a netip.Addr) found {
	s := x.view.ServiceByAddress(a)
	for _, o := range x.in.Mesh.Services {
		if s == nil && slices.Contains(o.Addresses, a) {
			s = o // which the client does not see
		}
	}
	if s != nil {
		return found{service: s, addr: a, how: "the address of " + string(s.Kind) + " service " + s.Ref.String()}
	}
	for _, w := range x.in.Mesh.Workloads {
		for _, own := range w.Addresses {
			if own == a {
				return found{pod: w, addr: a, how: "the address of workload " + w.Ref.String()}
			}
		}
	}
	if s := x.view.ServiceBySubnet(a); s != nil {
		return found{service: s, addr: a, how: "within a subnet of " + string(s.Kind) + " service " + s.Ref.String()}
	}
	return found{addr: a, how: "not the address of a service or workload"}
}

// ports lists what a service offers, for messages.
func ports(s *mesh.Service) string {
	var out []string
	for _, p := range s.Ports {
		text := fmt.Sprint(p.Number)
		if p.Name != "" {
			text += " (" + p.Name + ")"
		}
		out = append(out, text)
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
