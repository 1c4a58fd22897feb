package linkerd

import (
	"fmt"
	"sort"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// Translate makes overlays of profiles and annotations, and routes of
// dstOverrides and HTTPRoutes. It is pure.
func Translate(w *world.World, services fragment.Services) fragment.Fragment {
	t := &translator{w: w, services: services, hosts: make(map[string]*mesh.Service, len(services)), routed: map[target]mesh.Origin{}, told: map[string]bool{}}
	for _, s := range services {
		t.hosts[s.Host] = s
	}
	t.policyRoutes()
	t.profiles()
	t.annotated()
	return t.out
}

// target is where routes are in effect.
type target = fragment.Target

type translator struct {
	w        *world.World
	services fragment.Services
	hosts    map[string]*mesh.Service
	// routed are the targets that an HTTPRoute decides, and the first of them.
	routed map[target]mesh.Origin
	told   map[string]bool
	out    fragment.Fragment
}

// problem reports once what several ports have in common.
func (t *translator) problem(c problem.Code, o mesh.Origin, field, message, remedy string) {
	p := problem.New(c, o, field, message, remedy)
	if key := p.String(); !t.told[key] {
		t.told[key] = true
		t.out.Problems = append(t.out.Problems, p)
	}
}

func at(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// byAge sorts by age, then namespace and name.
func byAge[T metav1.Object](table world.Table[T]) []world.Item[T] {
	out := make([]world.Item[T], 0, len(table))
	for _, item := range table {
		out = append(out, item)
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i].Obj, out[j].Obj
		at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
		if !at.Equal(&bt) {
			return at.Before(&bt)
		}
		return a.GetNamespace() < b.GetNamespace() || a.GetNamespace() == b.GetNamespace() && a.GetName() < b.GetName()
	})
	return out
}

// serviceOf finds the service of a DNS name.
func (t *translator) serviceOf(host string) *mesh.Service {
	return t.hosts[strings.TrimSuffix(strings.ToLower(host), ".")]
}

// httpPorts are those of which the requests may be told apart.
func httpPorts(s *mesh.Service) []mesh.Port {
	var out []mesh.Port
	for _, p := range s.Ports {
		if p.Protocol.MayBeHTTP() {
			out = append(out, p)
		}
	}
	return out
}
