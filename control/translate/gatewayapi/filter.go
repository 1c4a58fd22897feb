package gatewayapi

import (
	"net/http"
	"strings"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/httproute"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// filters reads the filters of a rule, or of one of its backends.
type filters struct {
	j     *judge
	where string
	// matches of the rule, on which a replaced prefix depends.
	matches           []mesh.Match
	request, response *mesh.HeaderChanges
	rule              *mesh.Rule    // nil for a backend's
	backend           *mesh.Backend // nil for a rule's
}

// refuse says that a filter cannot be done: requests that would pass it are
// answered 500.
func (f *filters) refuse(reason gwv1.RouteConditionReason, c problem.Code, field, message, remedy string) {
	f.j.problem(c, field, message+"; requests that would pass it are answered 500", remedy)
	f.fault(reason, field+": "+message)
}

// fault spoils the rule, or the backend alone where the filter is a backend's.
func (f *filters) fault(reason gwv1.RouteConditionReason, message string) {
	if f.backend != nil {
		if f.backend.Invalid == "" {
			f.backend.Invalid = string(reason)
		}
		f.j.fault(reason, message, true)
		return
	}
	f.j.fault(reason, message, false)
}

func (f *filters) unsupported(field, message, remedy string) {
	f.refuse(gwv1.RouteReasonUnsupportedValue, problem.UnsupportedFilter, field, message, remedy)
}

func (f *filters) read(list []gwv1.HTTPRouteFilter) {
	seen := map[gwv1.HTTPRouteFilterType]bool{}
	for i := range list {
		in := &list[i]
		w := at("%s.filters[%d]", f.where, i)
		// Copies may go to several places; all else can be said once.
		if seen[in.Type] && in.Type != gwv1.HTTPRouteFilterRequestMirror {
			f.refuse(gwv1.RouteReasonIncompatibleFilters, problem.UnsupportedFilter, w+".type", at("the filter %s may be given once only", in.Type), "join the two filters")
			continue
		}
		seen[in.Type] = true
		f.one(in, w)
	}
	if seen[gwv1.HTTPRouteFilterRequestRedirect] && seen[gwv1.HTTPRouteFilterURLRewrite] {
		f.refuse(gwv1.RouteReasonIncompatibleFilters, problem.UnsupportedFilter, f.where+".filters", "a request cannot both be redirected and be rewritten", "remove one of the two filters")
	}
	if f.backend != nil && f.backend.Invalid != "" {
		f.backend.RequestHeaders, f.backend.ResponseHeaders, f.backend.Host = mesh.HeaderChanges{}, mesh.HeaderChanges{}, ""
	}
}

func (f *filters) one(in *gwv1.HTTPRouteFilter, w string) {
	empty := func(given bool) bool {
		if !given {
			f.unsupported(w, at("the filter %s has nothing in its own field", in.Type), "fill the field of its name")
		}
		return !given
	}
	ruleOnly := func() bool {
		if f.rule == nil {
			f.unsupported(w+".type", at("the filter %s cannot be limited to a backend", in.Type), "give it to the rule")
		}
		return f.rule == nil
	}
	switch in.Type {
	case gwv1.HTTPRouteFilterRequestHeaderModifier:
		if !empty(in.RequestHeaderModifier != nil) {
			*f.request = f.headers(in.RequestHeaderModifier, w+".requestHeaderModifier")
		}
	case gwv1.HTTPRouteFilterResponseHeaderModifier:
		if !empty(in.ResponseHeaderModifier != nil) {
			*f.response = f.headers(in.ResponseHeaderModifier, w+".responseHeaderModifier")
		}
	case gwv1.HTTPRouteFilterRequestRedirect:
		if !empty(in.RequestRedirect != nil) && !ruleOnly() {
			f.rule.Redirect = f.redirect(in.RequestRedirect, w+".requestRedirect")
		}
	case gwv1.HTTPRouteFilterURLRewrite:
		if !empty(in.URLRewrite != nil) {
			f.rewrite(in.URLRewrite, w+".urlRewrite")
		}
	case gwv1.HTTPRouteFilterRequestMirror:
		if !empty(in.RequestMirror != nil) && !ruleOnly() {
			f.mirror(in.RequestMirror, w+".requestMirror")
		}
	case gwv1.HTTPRouteFilterCORS:
		if !empty(in.CORS != nil) && !ruleOnly() {
			f.rule.CORS = f.cors(in.CORS, w+".cors")
		}
	default:
		f.unsupported(w+".type", at("the mesh does not know the filter %s", in.Type), "remove the filter")
	}
}

// redirect reads where requests are sent. Without a port it is that of the
// scheme, or of the Service where no scheme is given (HTTPRequestRedirectFilter.port).
func (f *filters) redirect(in *gwv1.HTTPRequestRedirectFilter, w string) *mesh.Redirect {
	out := &mesh.Redirect{Status: http.StatusFound}
	if in.Scheme != nil && *in.Scheme != "" {
		switch out.Scheme = *in.Scheme; out.Scheme {
		case "http":
			out.Port = 80
		case "https":
			out.Port = 443
		default:
			f.unsupported(w+".scheme", at("%q is not a scheme that the mesh knows", *in.Scheme), "use http or https")
		}
	}
	if in.Hostname != nil {
		out.Host = f.hostname(string(*in.Hostname), w+".hostname")
	}
	switch {
	case in.Port != nil && (*in.Port < 1 || *in.Port > 65535):
		f.unsupported(w+".port", at("%d is not a port", *in.Port), "use a number from 1 to 65535")
	case in.Port != nil:
		out.Port = uint16(*in.Port)
	case out.Scheme == "":
		out.SamePort = true
	}
	if in.StatusCode != nil {
		switch out.Status = uint32(*in.StatusCode); out.Status {
		case 301, 302, 303, 307, 308:
		default:
			f.unsupported(w+".statusCode", at("%d is not a status of a redirect", *in.StatusCode), "use 301, 302, 303, 307 or 308")
		}
	}
	out.Path, out.PrefixPath = f.path(in.Path, w+".path")
	return out
}

func (f *filters) rewrite(in *gwv1.HTTPURLRewriteFilter, w string) {
	host := ""
	if in.Hostname != nil {
		host = f.hostname(string(*in.Hostname), w+".hostname")
	}
	if f.rule != nil {
		out := &mesh.Rewrite{Host: host, Origin: f.j.o.origin.At(w)}
		out.Path, out.PrefixPath = f.path(in.Path, w+".path")
		f.rule.Rewrite = out
		return
	}
	f.backend.Host = host
	if in.Path != nil {
		f.unsupported(w+".path", "the path cannot be rewritten for a backend alone", "give the filter to the rule")
	}
}

func (f *filters) hostname(name, w string) string {
	if !apifield.Authority(name) || strings.ContainsAny(name, "*:%") {
		f.unsupported(w, at("%q is not a host name", name), "write a DNS name")
		return ""
	}
	return name
}

// path reads a new path: the whole, or what the match's prefix held.
func (f *filters) path(in *gwv1.HTTPPathModifier, w string) (full string, prefix *string) {
	if in == nil {
		return "", nil
	}
	var value *string
	switch in.Type {
	case gwv1.FullPathHTTPPathModifier:
		value = in.ReplaceFullPath
	case gwv1.PrefixMatchHTTPPathModifier:
		value = in.ReplacePrefixMatch
	default:
		f.unsupported(w+".type", at("%q is not a way to change a path", in.Type), "use ReplaceFullPath or ReplacePrefixMatch")
		return "", nil
	}
	switch {
	case value == nil:
		f.unsupported(w, at("%s has nothing in its own field", in.Type), "fill the field of its name")
		return "", nil
	case !apifield.Target(*value):
		f.unsupported(w, at("%q is not a path", *value), "write it as it stands in a URL")
		return "", nil
	case in.Type == gwv1.FullPathHTTPPathModifier:
		return "/" + strings.TrimPrefix(*value, "/"), nil
	}
	for i := range f.matches {
		if p := f.matches[i].Path; p.Kind != mesh.PathPrefix && p != (mesh.PathMatch{}) {
			f.unsupported(w, "a prefix can be replaced only where every match of the rule is a PathPrefix", "use ReplaceFullPath, or a rule of its own for the other matches")
			return "", nil
		}
	}
	if *value != "" && !strings.HasPrefix(*value, "/") {
		v := "/" + *value
		value = &v
	}
	return "", value
}

// withSlash is a prefix that replaces the prefix /.
func withSlash(p string) *string {
	p = strings.TrimRight(p, "/") + "/"
	return &p
}

func (f *filters) mirror(in *gwv1.HTTPRequestMirrorFilter, w string) {
	m := mesh.Mirror{Millionths: 1_000_000, Origin: f.j.o.origin.At(w), Backend: mesh.Backend{Weight: 1}}
	switch {
	case in.Percent != nil && in.Fraction != nil:
		f.unsupported(w, "percent and fraction are given both", "give one of them")
		return
	case in.Percent != nil && (*in.Percent < 0 || *in.Percent > 100):
		f.unsupported(w+".percent", at("%d is not between 0 and 100", *in.Percent), "correct the number")
		return
	case in.Percent != nil:
		m.Millionths = uint32(*in.Percent) * 10_000
	case in.Fraction != nil:
		n, d := int64(in.Fraction.Numerator), int64(100)
		if in.Fraction.Denominator != nil {
			d = int64(*in.Fraction.Denominator)
		}
		if n < 0 || d < 1 || n > d {
			f.unsupported(w+".fraction", at("%d/%d is not between 0 and 1", n, d), "correct the numbers")
			return
		}
		m.Millionths = uint32(n * 1_000_000 / d)
	}
	f.j.resolve(&in.BackendRef, w+".backendRef", &m.Backend, refuseCopies)
	// A destination of copies that is invalid is dropped; requests go on.
	if m.Backend.Invalid == "" {
		f.rule.Mirrors = append(f.rule.Mirrors, m)
	}
}

// headers reads changes of fields.
func (f *filters) headers(in *gwv1.HTTPHeaderFilter, w string) mesh.HeaderChanges {
	out, ok := httproute.Headers(in, w, f.j.problem)
	if !ok {
		f.fault(gwv1.RouteReasonUnsupportedValue, w+" is not a change of header fields")
	}
	return out
}
