package fragment

import (
	"cmp"
	"slices"

	"github.com/weftmesh/weft/mesh"
)

// Target is what routes are attached to: a service port, for the clients of one
// namespace or, where Scope is empty, of all.
type Target struct {
	Service mesh.Ref
	Port    uint16
	Scope   string
}

// Targets are the keys of a map in order.
func Targets[V any](m map[Target]V) []Target {
	out := make([]Target, 0, len(m))
	for t := range m {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Target) int {
		return cmp.Or(cmp.Compare(a.Service.Namespace, b.Service.Namespace), cmp.Compare(a.Service.Name, b.Service.Name), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Scope, b.Scope))
	})
	return out
}

// Default sets what nothing is said of.
func Default[T comparable](to *T, from T) {
	var none T
	if *to == none {
		*to = from
	}
}
