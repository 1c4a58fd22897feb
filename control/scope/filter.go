package scope

import "github.com/weftmesh/weft/mesh"

// filter leaves the matches for other clients out of a route. The result is the
// same pointer for the same question.
func (x *Index) filter(r *mesh.Route, v View) *mesh.Route {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := filterKey{r, v.namespace, v.variant}
	if out := x.filtered[key]; out != nil {
		return out
	}
	out := *r
	out.Rules, out.TCP = nil, nil
	if r.Rules != nil {
		out.Rules = []mesh.Rule{}
	}
	for _, rule := range r.Rules {
		ms, some := own(v, rule.Matches, func(m *mesh.Match) *mesh.ClientMatch { return &m.Source })
		if rule.Matches = ms; some {
			out.Rules = append(out.Rules, rule)
		}
	}
	for _, rule := range r.TCP {
		ms, some := own(v, rule.Matches, func(m *mesh.TCPMatch) *mesh.ClientMatch { return &m.Source })
		if rule.Matches = ms; some {
			out.TCP = append(out.TCP, rule)
		}
	}
	x.filtered[key] = &out
	return &out
}

// own are the matches that hold for the clients of a view, without what they
// say of clients; some is false where there were matches and none is left.
func own[M any](v View, matches []M, source func(*M) *mesh.ClientMatch) (out []M, some bool) {
	for _, m := range matches {
		if s := source(&m); s.Holds(v.namespace, v.labels) {
			*s = mesh.ClientMatch{}
			out = append(out, m)
		}
	}
	return out, len(out) > 0 || len(matches) == 0
}
