package istio

import (
	"net/http"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// httpRule is a rule as it applies to one port of a host.
type httpRule struct {
	rule   mesh.Rule
	origin mesh.Origin
	field  string
}

// onlyPolicy says whether the rule takes everything and sends it to where it
// would go without it.
func (r *httpRule) onlyPolicy(s *mesh.Service, port *mesh.Port) bool {
	return r.rule.IsAll() && r.rule.Redirect == nil && r.rule.Direct == nil && len(r.rule.Backends) == 1 &&
		r.rule.Backends[0].Service == s.Ref && r.rule.Backends[0].Port == port.Number && r.rule.Backends[0].Subset == "" && r.rule.Backends[0].Invalid == "" &&
		r.rule.Backends[0].RequestHeaders.IsZero() && r.rule.Backends[0].ResponseHeaders.IsZero() && r.rule.Backends[0].Host == ""
}

// rules are the HTTP rules of a VirtualService for a port of a host; those
// whose matches all name other ports are left out.
func (t *translator) rules(v *virtual, s *mesh.Service, port *mesh.Port) []httpRule {
	if !port.Protocol.MayBeHTTP() {
		return nil
	}
	var out []httpRule
	for _, src := range v.rules {
		rule := mesh.Rule{Name: src.route.Name, Origin: src.at("")}
		if rule.Name == "" {
			rule.Name = src.origin.Name
		}
		some := len(src.route.Match) == 0
		for i, m := range src.route.Match {
			if m.Port != 0 && m.Port != uint32(port.Number) || !forMesh(m.Gateways) {
				continue
			}
			if mm, ok := t.match(m, src, i, true); ok {
				rule.Matches = append(rule.Matches, mm)
				some = true
			}
		}
		if !some {
			continue
		}
		for i := range rule.Matches {
			if m := &rule.Matches[i]; m.IsAll() && m.Name == "" && m.StatPrefix == "" {
				rule.Matches = nil
				break
			}
		}
		if t.action(&rule, src, s, port) {
			out = append(out, httpRule{rule, src.origin, src.field})
		}
	}
	return out
}

// action fills in what the rule does; false means that it cannot be in effect.
func (t *translator) action(rule *mesh.Rule, src httpSource, s *mesh.Service, port *mesh.Port) bool {
	r := src.route
	kinds := 0
	for _, has := range []bool{len(r.Route) > 0, r.Redirect != nil, r.DirectResponse != nil} {
		if has {
			kinds++
		}
	}
	if kinds != 1 {
		t.invalid(src, "", "a rule has exactly one of route, redirect, directResponse and delegate; this one is not in effect", "keep one of them")
		return false
	}
	t.policy(&rule.RoutePolicy, src, s, port)
	switch {
	case r.Redirect != nil:
		return t.redirect(rule, src)
	case r.DirectResponse != nil:
		d := r.DirectResponse
		if d.Status < 200 || d.Status > 599 {
			t.invalid(src, ".directResponse.status", at("%d is not the status of a response; the rule is not in effect", d.Status), "give one from 200 to 599")
			return false
		}
		rule.Direct = &mesh.DirectResponse{Status: d.Status, Body: d.Body.GetString_()}
		if b := d.Body.GetBytes(); len(b) > 0 {
			rule.Direct.Body = string(b)
		}
		return true
	}
	rule.Backends = t.backends(src, s, port)
	return true
}

func (t *translator) invalid(src httpSource, field, message, remedy string) {
	t.problem(problem.SchemaInvalid, src.origin, src.field+field, message, remedy)
}

func (t *translator) backends(src httpSource, s *mesh.Service, port *mesh.Port) []mesh.Backend {
	var out []mesh.Backend
	shares := weights(t, src.route.Route, src.origin, src.field, "the requests are answered 500")
	for i, d := range src.route.Route {
		field := at("%s.route[%d]", src.field, i)
		b := t.destination(d.Destination, src.namespace, src.origin, field+".destination", "host", s, port)
		b.Weight = shares[i]
		var host string
		b.RequestHeaders, host = t.headers(d.Headers.GetRequest(), src.origin, field+".headers.request")
		b.ResponseHeaders, _ = t.headers(d.Headers.GetResponse(), src.origin, field+".headers.response")
		b.Host = host
		out = append(out, b)
	}
	return out
}

// destination finds what a Destination means. A missing port is the only one of
// its service, or else the port that the request came for.
func (t *translator) destination(d *networking.Destination, namespace string, o mesh.Origin, field, what string, from *mesh.Service, port *mesh.Port) mesh.Backend {
	b := mesh.Backend{Port: port.Number, Subset: d.GetSubset()}
	s := t.hosts.find(d.GetHost(), namespace)
	if s != nil && s.Host == from.Host && t.hosts.several[s.Host] {
		s, t.shared.own = from, true // of several the one that the rules are made for
	}
	if s == nil {
		host := t.hosts.name(d.GetHost(), namespace)
		fate := "its share of the requests is answered 503"
		if what != "host" {
			fate = "no copy is sent there"
		}
		b.Service, b.Invalid, b.Status = mesh.Ref{Namespace: namespace, Name: host}, "HostNotFound", http.StatusServiceUnavailable
		t.problem(problem.ReferenceMissing, o, field+".host", at("no Service or ServiceEntry has the %s %s; %s", what, host, fate), "create it or correct the name")
		return b
	}
	b.Service = s.Ref
	number := d.GetPort().GetNumber()
	switch {
	case number == 0 && len(s.Ports) == 1:
		b.Port = s.Ports[0].Number
	case number == 0 && s == from:
		t.shared.own = true // others are told that a port is missing
	case number == 0 && s != from && len(s.Ports) > 1:
		t.problem(problem.PortRequired, o, field+".port", at("%s has several ports and none is named; port %d is taken, for which the request came", s.Host, port.Number), "name the port")
	case number > 0 && number <= 65535:
		b.Port = uint16(number)
	}
	if s.PortByNumber(b.Port) == nil {
		b.Invalid, b.Status = "PortNotFound", http.StatusServiceUnavailable
		t.problem(problem.ReferenceMissing, o, field+".port", at("%s has no port %d; its share of the requests is answered 503", s.Host, b.Port), "name a port of the host")
	}
	return b
}

// redirect reads an HTTPRedirect.
func (t *translator) redirect(rule *mesh.Rule, src httpSource) bool {
	in := src.route.Redirect
	r := &mesh.Redirect{Scheme: strings.ToLower(in.Scheme), Host: t.authority(in.Authority, src, ".redirect.authority"), Path: in.Uri, Status: in.RedirectCode}
	for _, p := range [][2]string{{".redirect.uri", in.Uri}, {".redirect.prefixRewrite", in.PrefixRewrite}} {
		if p[1] == "" {
			continue
		}
		if why := badTarget(p[1]); why != "" {
			t.invalid(src, p[0], at("%q %s; the rule is not in effect", p[1], why), "begin it with /")
			return false
		}
	}
	if r.Scheme == "" && in.Authority == "" && in.Uri == "" && in.PrefixRewrite == "" && in.RedirectPort == nil {
		t.invalid(src, ".redirect", "it leads to where the request came from; the rule is not in effect", "give uri, authority, scheme or port")
		return false
	}
	if in.PrefixRewrite != "" {
		if in.Uri != "" {
			t.invalid(src, ".redirect.prefixRewrite", "uri and prefixRewrite cannot both be given; the rule is not in effect", "keep one of them")
			return false
		}
		prefix := in.PrefixRewrite
		r.PrefixPath = &prefix
	}
	switch r.Status {
	case 0:
		r.Status = http.StatusMovedPermanently
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		t.invalid(src, ".redirect.redirectCode", at("%d is no redirection; the rule is not in effect", r.Status), "use 301, 302, 303, 307 or 308")
		return false
	}
	if p := in.GetPort(); p > 0 && p <= 65535 {
		r.Port = uint16(p)
	}
	r.SamePort = in.GetDerivePort() == networking.HTTPRedirect_FROM_REQUEST_PORT
	if r.Scheme != "" && r.Scheme != "http" && r.Scheme != "https" {
		t.invalid(src, ".redirect.scheme", at("%q is neither http nor https; the rule is not in effect", in.Scheme), "use one of these")
		return false
	}
	rule.Redirect = r
	return true
}
