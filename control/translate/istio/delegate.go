package istio

import (
	"maps"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// withDelegates lists the HTTP rules of a VirtualService. A rule that names a
// delegate is replaced by the delegate's rules, each limited by the matches of
// the rule (HTTPRoute.delegate); a delegate cannot delegate again.
func (t *translator) withDelegates(v *virtual) []httpSource {
	var out []httpSource
	o := v.item.Obj
	for i, r := range o.Spec.Http {
		field := at("spec.http[%d]", i)
		src := httpSource{route: r, origin: v.origin(), field: field, namespace: o.Namespace}
		d := r.GetDelegate()
		if d == nil {
			out = append(out, src)
			continue
		}
		ref := mesh.Ref{Namespace: d.Namespace, Name: d.Name}
		if ref.Namespace == "" {
			ref.Namespace = o.Namespace
		}
		bad := func(message, remedy string) {
			t.problem(problem.BadDelegate, v.origin(), field+".delegate", message+"; the rule is not in effect", remedy)
		}
		item, ok := t.w.VirtualServices[ref]
		switch {
		case len(r.Route) > 0 || r.Redirect != nil || r.DirectResponse != nil:
			bad("a rule that delegates cannot have a route, redirect or directResponse", "remove them")
		case !ok:
			bad(at("VirtualService %s does not exist", ref), "create it or correct the name")
		case len(item.Obj.Spec.Hosts) > 0:
			bad(at("VirtualService %s has hosts of its own", ref), "remove its hosts")
		case !seenFrom(exported(item.Obj.Spec.ExportTo, ref.Namespace), o.Namespace):
			bad(at("VirtualService %s is not exported to namespace %s", ref, o.Namespace), "extend its exportTo")
		default:
			out = append(out, t.delegated(src, item.Obj.Spec.Http, item.Origin, ref.Namespace)...)
		}
	}
	return out
}

func (t *translator) delegated(root httpSource, rules []*networking.HTTPRoute, origin mesh.Origin, namespace string) []httpSource {
	var out []httpSource
	for i, r := range rules {
		field := at("spec.http[%d]", i)
		if r.Delegate != nil {
			t.problem(problem.BadDelegate, origin, field+".delegate", "a delegate cannot delegate again; the rule is not in effect", "name the rules here")
			continue
		}
		joined := httpSource{route: proto.Clone(r).(*networking.HTTPRoute), origin: origin, field: field, namespace: namespace, root: &root}
		joined.route.Match = nil
		for j, own := range orAny(r.Match) {
			fits := false
			for k, of := range orAny(root.route.Match) {
				m, ok := joinMatches(of, own)
				if !ok {
					continue
				}
				fits = true
				place := origin.At(at("%s.match[%d]", field, j))
				if len(r.Match) == 0 {
					place = root.at(at(".match[%d]", k))
				}
				joined.route.Match, joined.matches = append(joined.route.Match, m), append(joined.matches, place)
			}
			if !fits {
				t.problem(problem.BadDelegate, origin, at("%s.match[%d]", field, j), at("a match contradicts %s of %s, which delegates; it is not in effect", root.field, root.origin), "let the match be a part of that one")
			}
		}
		if len(joined.route.Match) == 0 {
			continue
		}
		joined.inherit()
		out = append(out, joined)
	}
	return out
}

func orAny(list []*networking.HTTPMatchRequest) []*networking.HTTPMatchRequest {
	if len(list) == 0 {
		return []*networking.HTTPMatchRequest{{}}
	}
	return list
}

// inherit takes from the root what the delegate's rule does not say.
func (s *httpSource) inherit() {
	s.inherited = map[string]bool{}
	r, root := s.route, s.root.route
	inherit(s.inherited, "rewrite", &r.Rewrite, root.Rewrite)
	inherit(s.inherited, "timeout", &r.Timeout, root.Timeout)
	inherit(s.inherited, "retries", &r.Retries, root.Retries)
	inherit(s.inherited, "fault", &r.Fault, root.Fault)
	if r.Mirror == nil && len(r.Mirrors) == 0 {
		s.inherited["mirror"] = true
		r.Mirror, r.Mirrors, r.MirrorPercentage, r.MirrorPercent = root.Mirror, root.Mirrors, root.MirrorPercentage, root.MirrorPercent //nolint:staticcheck // deprecated, and still used
	}
	inherit(s.inherited, "corsPolicy", &r.CorsPolicy, root.CorsPolicy)
	inherit(s.inherited, "headers", &r.Headers, root.Headers)
}

func inherit[T any](from map[string]bool, part string, to **T, root *T) {
	if *to == nil {
		*to, from[part] = root, true
	}
}

// of is the rule that says a part: the root, where that is inherited.
func (s httpSource) of(part string) httpSource {
	if s.inherited[part] {
		s.origin, s.field, s.namespace = s.root.origin, s.root.field, s.root.namespace
	}
	return s
}

// joinMatches makes a match of which both hold; false where that cannot be
// said in one match.
func joinMatches(root, own *networking.HTTPMatchRequest) (*networking.HTTPMatchRequest, bool) {
	m := proto.Clone(own).(*networking.HTTPMatchRequest)
	ok := true
	// narrower is the second of two conditions, of which the first holds wherever
	// the second does.
	narrower := func(a, b *networking.StringMatch, fold bool) *networking.StringMatch {
		switch {
		case b == nil:
			return a
		case a != nil && !covers(a, b, fold):
			ok = false
		}
		return b
	}
	str := func(a, b *networking.StringMatch) *networking.StringMatch { return narrower(a, b, false) }
	// wider is the one of two exclusions that has the other in it.
	wider := func(a, b *networking.StringMatch) *networking.StringMatch {
		switch {
		case b == nil || a != nil && covers(a, b, false):
			return a
		case a != nil && !covers(b, a, false):
			ok = false
		}
		return b
	}
	m.Uri, m.Scheme, m.Method, m.Authority = narrower(root.Uri, own.Uri, root.IgnoreUriCase), str(root.Scheme, own.Scheme), str(root.Method, own.Method), str(root.Authority, own.Authority)
	if m.IgnoreUriCase = own.IgnoreUriCase; own.Uri == nil {
		m.IgnoreUriCase = root.IgnoreUriCase
	} else if root.Uri != nil && own.IgnoreUriCase && !root.IgnoreUriCase {
		ok = false
	}
	both := func(a, b map[string]*networking.StringMatch, join func(a, b *networking.StringMatch) *networking.StringMatch) map[string]*networking.StringMatch {
		if len(a) == 0 {
			return b
		}
		out := maps.Clone(b)
		if out == nil {
			out = map[string]*networking.StringMatch{}
		}
		for k, v := range a {
			out[k] = join(v, b[k])
		}
		return out
	}
	m.Headers, m.WithoutHeaders, m.QueryParams = both(root.Headers, own.Headers, str), both(root.WithoutHeaders, own.WithoutHeaders, wider), both(root.QueryParams, own.QueryParams, str)
	fragment.Default(&m.Name, root.Name)
	fragment.Default(&m.StatPrefix, root.StatPrefix)
	if own.Port == 0 {
		m.Port = root.Port
	} else if root.Port != 0 && root.Port != own.Port {
		ok = false
	}
	if own.SourceNamespace == "" {
		m.SourceNamespace = root.SourceNamespace
	} else if root.SourceNamespace != "" && root.SourceNamespace != own.SourceNamespace {
		ok = false
	}
	labels := map[string]string{}
	for k, v := range own.SourceLabels {
		labels[k] = v
	}
	for k, v := range root.SourceLabels {
		if have, taken := labels[k]; taken && have != v {
			ok = false
		}
		labels[k] = v
	}
	m.SourceLabels, m.Gateways = labels, root.Gateways
	return m, ok
}

// covers says whether whatever fits b fits a; fold, that a takes no notice of
// case. A condition without a text holds wherever there is something.
func covers(a, b *networking.StringMatch, fold bool) bool {
	lower := func(s string) string {
		if fold {
			return strings.ToLower(s)
		}
		return s
	}
	switch m := a.MatchType.(type) {
	case nil:
		return true
	case *networking.StringMatch_Regex:
		return m.Regex == "*" || proto.Equal(a, b)
	case *networking.StringMatch_Exact:
		e, ok := b.MatchType.(*networking.StringMatch_Exact)
		return ok && lower(m.Exact) == lower(e.Exact)
	case *networking.StringMatch_Prefix:
		begins := b.GetExact() + b.GetPrefix() // of which one is set
		return begins != "" && strings.HasPrefix(lower(begins), lower(m.Prefix))
	}
	return false
}
