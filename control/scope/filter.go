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
		var ms []mesh.Match
		for _, m := range rule.Matches {
			if m.Source.Holds(v.namespace, v.labels) {
				m.Source = mesh.ClientMatch{}
				ms = append(ms, m)
			}
		}
		if len(ms) > 0 || len(rule.Matches) == 0 {
			rule.Matches = ms
			out.Rules = append(out.Rules, rule)
		}
	}
	for _, rule := range r.TCP {
		var ms []mesh.TCPMatch
		for _, m := range rule.Matches {
			if m.Source.Holds(v.namespace, v.labels) {
				m.Source = mesh.ClientMatch{}
				ms = append(ms, m)
			}
		}
		if len(ms) > 0 || len(rule.Matches) == 0 {
			rule.Matches = ms
			out.TCP = append(out.TCP, rule)
		}
	}
	x.filtered[key] = &out
	return &out
}
