package smi

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// matches reads the HTTPRouteGroups of a split, of which one match must hold;
// false means that one cannot be used, so that the split must not be in effect.
func (t *translator) matches(item world.Item[*smiapi.TrafficSplit]) ([]mesh.Match, bool) {
	var out []mesh.Match
	ok := true
	bad := func(i int, message, remedy string) {
		ok = false
		t.problem(problem.SplitMatches, item.Origin, fmt.Sprintf("spec.matches[%d]", i), message+"; the split is not in effect", remedy)
	}
	for i, m := range item.Obj.Matches {
		if m.Kind != smiapi.GroupKind || m.APIGroup != "" && m.APIGroup != smiapi.SpecsGroup {
			bad(i, fmt.Sprintf("%s of group %q is no kind of matches", m.Kind, m.APIGroup), "name an HTTPRouteGroup of "+smiapi.SpecsGroup)
			continue
		}
		ref := mesh.Ref{Namespace: item.Obj.Namespace, Name: m.Name}
		group, known := t.w.HTTPRouteGroups[ref]
		if !known {
			bad(i, fmt.Sprintf("HTTPRouteGroup %s does not exist", ref), "create it or correct the name")
			continue
		}
		for _, h := range group.Obj.Matches {
			out = append(out, requests(h)...)
		}
	}
	return out, ok && len(out) > 0
}

// requests makes an alternative for each method.
func requests(in smiapi.HTTPMatch) []mesh.Match {
	var m mesh.Match
	m.Name = in.Name
	if plain := regexp.QuoteMeta(in.PathRegex) == in.PathRegex; plain && strings.HasPrefix(in.PathRegex, "/") {
		m.Path = mesh.PathMatch{Kind: mesh.Exact, Value: in.PathRegex}
	} else if in.PathRegex != "" && in.PathRegex != ".*" && in.PathRegex != "/.*" {
		m.Path = mesh.PathMatch{Kind: mesh.Regex, Value: in.PathRegex}
	}
	for _, h := range in.Headers {
		name := h.Name
		if name == "host" {
			name = ":authority"
		}
		m.Headers = append(m.Headers, mesh.ValueMatch{Name: name, Kind: mesh.Regex, Value: h.Regex})
	}
	if len(in.Methods) == 0 {
		return []mesh.Match{m}
	}
	var out []mesh.Match
	for _, method := range in.Methods {
		m.Method = strings.ToUpper(method)
		out = append(out, m)
	}
	return out
}
