package httproute

import (
	"strings"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// Headers reads a header modifier; false means that it cannot be done, which is
// then reported.
func Headers(change *gwv1.HTTPHeaderFilter, where string, report Report) (out mesh.HeaderChanges, ok bool) {
	set, ok := fields(change.Set, where+".set", report)
	add, good := fields(change.Add, where+".add", report)
	ok = ok && good
	out = mesh.HeaderChanges{Set: set, Add: add}
	for i, name := range change.Remove {
		name = strings.ToLower(name)
		out.Remove = append(out.Remove, name)
		ok = header(name, "", at("%s.remove[%d]", where, i), report) && ok
	}
	return out, ok
}

// fields lowers the names; the first entry of a name counts (HTTPHeader.name).
func fields(in []gwv1.HTTPHeader, where string, report Report) (out []mesh.Header, ok bool) {
	ok = true
	seen := map[string]bool{}
	for i, h := range in {
		name := strings.ToLower(string(h.Name))
		if !seen[name] {
			seen[name] = true
			out = append(out, mesh.Header{Name: name, Value: h.Value})
			ok = header(name, h.Value, at("%s[%d]", where, i), report) && ok
		}
	}
	return out, ok
}

// header checks a field (RFC 9110, section 5): a malformed one could split the
// request in two.
func header(name, value, where string, report Report) bool {
	if apifield.Token(name) && apifield.Text(value) {
		return true
	}
	report(problem.BadHeaderChange, where, at("%q: %q is not a header field; requests that would pass the filter are answered 500", name, value), "correct the name or the value")
	return false
}

// Redirect reads a redirect; the port stays the request's, as the API demands,
// unless the scheme says another.
func Redirect(in *gwv1.HTTPRequestRedirectFilter) *mesh.Redirect {
	out := &mesh.Redirect{Status: 302, SamePort: true}
	if in.Scheme != nil && *in.Scheme != "" {
		out.Scheme, out.SamePort = *in.Scheme, false
	}
	if in.Hostname != nil {
		out.Host = string(*in.Hostname)
	}
	if in.Port != nil && *in.Port > 0 && *in.Port <= 65535 {
		out.Port = uint16(*in.Port)
	}
	if in.StatusCode != nil {
		out.Status = uint32(*in.StatusCode)
	}
	if p := in.Path; p != nil {
		switch {
		case p.ReplaceFullPath != nil:
			out.Path = *p.ReplaceFullPath
		case p.ReplacePrefixMatch != nil:
			v := *p.ReplacePrefixMatch
			out.PrefixPath = &v
		}
	}
	return out
}

// Timeouts reads the timeouts of a rule; one that cannot be used is reported
// and not in effect. Zero means that there is none (GEP-1742).
func Timeouts(in *gwv1.HTTPRouteTimeouts, where string, origin mesh.Origin, report Report) mesh.Timeouts {
	if in == nil {
		return mesh.Timeouts{}
	}
	read := func(v *gwv1.Duration, name string) *mesh.Duration {
		if v == nil {
			return nil
		}
		d, err := time.ParseDuration(string(*v))
		if err != nil || d < 0 {
			report(problem.RouteTimeout, where+".timeouts."+name, at("%q is no duration, or negative; the timeout is not in effect", string(*v)), "write for instance 300ms or 10s")
			return nil
		}
		return mesh.After(d)
	}
	out := mesh.Timeouts{Request: read(in.Request, "request"), Backend: read(in.BackendRequest, "backendRequest")}
	if out.Request != nil && out.Backend != nil && *out.Request > 0 && *out.Backend > *out.Request {
		report(problem.RouteTimeout, where+".timeouts.backendRequest", "it is longer than that of the request, which is in effect alone", "make it shorter than timeouts.request")
		out.Backend = nil
	}
	if !out.IsZero() {
		out.Origin = origin
	}
	return out
}
