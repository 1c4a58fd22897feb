package istio

import (
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
		src := httpSource{r, v.origin(), field, o.Namespace}
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
		joined := proto.Clone(r).(*networking.HTTPRoute)
		joined.Match = nil
		for _, a := range orAny(root.route.Match) {
			for _, b := range orAny(r.Match) {
				m, ok := joinMatches(a, b)
				if ok {
					joined.Match = append(joined.Match, m)
				} else {
					t.problem(problem.BadDelegate, origin, field+".match", at("a match contradicts %s of %s, which delegates; it is not in effect", root.field, root.origin), "let the match be a part of that one")
				}
			}
		}
		if len(joined.Match) == 0 {
			continue
		}
		inherit(joined, root.route)
		out = append(out, httpSource{joined, origin, field, namespace})
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
func inherit(r, root *networking.HTTPRoute) {
	fragment.Default(&r.Rewrite, root.Rewrite)
	fragment.Default(&r.Timeout, root.Timeout)
	fragment.Default(&r.Retries, root.Retries)
	fragment.Default(&r.Fault, root.Fault)
	if r.Mirror == nil && len(r.Mirrors) == 0 {
		r.Mirror, r.Mirrors, r.MirrorPercentage, r.MirrorPercent = root.Mirror, root.Mirrors, root.MirrorPercentage, root.MirrorPercent //nolint:staticcheck // deprecated, and still used
	}
	fragment.Default(&r.CorsPolicy, root.CorsPolicy)
	fragment.Default(&r.Headers, root.Headers)
}

// joinMatches makes a match of which both hold; false where that cannot be
// said in one match.
func joinMatches(root, own *networking.HTTPMatchRequest) (*networking.HTTPMatchRequest, bool) {
	m := proto.Clone(own).(*networking.HTTPMatchRequest)
	ok := true
	str := func(a, b *networking.StringMatch) *networking.StringMatch {
		switch {
		case b == nil:
			return a
		case a == nil || proto.Equal(a, b) || covers(a, b):
			return b
		}
		ok = false
		return b
	}
	m.Uri, m.Scheme, m.Method, m.Authority = str(root.Uri, own.Uri), str(root.Scheme, own.Scheme), str(root.Method, own.Method), str(root.Authority, own.Authority)
	both := func(a, b map[string]*networking.StringMatch) map[string]*networking.StringMatch {
		if len(a) == 0 {
			return b
		}
		out := map[string]*networking.StringMatch{}
		for k, v := range b {
			out[k] = v
		}
		for k, v := range a {
			out[k] = str(v, b[k])
		}
		return out
	}
	m.Headers, m.WithoutHeaders, m.QueryParams = both(root.Headers, own.Headers), both(root.WithoutHeaders, own.WithoutHeaders), both(root.QueryParams, own.QueryParams)
	if own.Port == 0 {
		m.Port = root.Port
	} else if root.Port != 0 && root.Port != own.Port {
		ok = false
	}
	m.IgnoreUriCase = root.IgnoreUriCase || own.IgnoreUriCase
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

// covers says whether whatever fits b fits a.
func covers(a, b *networking.StringMatch) bool {
	p, ok := a.MatchType.(*networking.StringMatch_Prefix)
	if !ok {
		return false
	}
	for _, s := range []string{b.GetExact(), b.GetPrefix()} {
		if s != "" && len(s) >= len(p.Prefix) && s[:len(p.Prefix)] == p.Prefix {
			return true
		}
	}
	return false
}
