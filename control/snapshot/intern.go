package snapshot

import (
	"reflect"

	"github.com/weftmesh/weft/mesh"
)

// intern returns the new mesh with every part that equals one of the old mesh
// replaced by that one. Thereafter equal content means equal pointers, and what
// was made of a part need not be made again while its pointer is the same.
func intern(old, next *mesh.Mesh) *mesh.Mesh {
	if old == nil {
		return next
	}
	out := *next
	out.Services = internList(old.Services, next.Services, func(s *mesh.Service) mesh.Ref { return s.Ref })
	out.Workloads = internList(old.Workloads, next.Workloads, func(w *mesh.Workload) mesh.Ref { return w.Ref })
	out.Routes = internList(old.Routes, next.Routes, func(r *mesh.Route) routeKey { return routeKey{r.Service, r.Port, r.Scope} })
	out.Destinations = internList(old.Destinations, next.Destinations, func(d *mesh.Destination) destinationKey {
		return destinationKey{d.Service, d.Scope, mesh.LabelString(d.Clients)}
	})
	out.Endpoints = internList(old.Endpoints, next.Endpoints, func(s *mesh.EndpointSet) mesh.EndpointKey { return s.Key })
	return &out
}

type destinationKey struct {
	service       mesh.Ref
	scope, labels string
}

type routeKey struct {
	service mesh.Ref
	port    uint16
	scope   string
}

func internList[T any, K comparable](old, next []*T, key func(*T) K) []*T {
	if len(old) == len(next) && (len(old) == 0 || &old[0] == &next[0]) {
		return old // the very same list
	}
	// What the translators left as it was is the same already.
	had := make(map[*T]struct{}, len(old))
	for _, o := range old {
		had[o] = struct{}{}
	}
	fresh := false
	for _, n := range next {
		if _, same := had[n]; !same {
			fresh = true
			break
		}
	}
	if !fresh {
		return next
	}
	known := make(map[K]*T, len(old))
	for _, o := range old {
		known[key(o)] = o
	}
	out := make([]*T, len(next))
	for i, n := range next {
		out[i] = n
		if o := known[key(n)]; o != nil && reflect.DeepEqual(o, n) {
			out[i] = o
		}
	}
	return out
}
