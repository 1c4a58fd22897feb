package explain

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// requests finds the rule for a request.
func (x *explainer) requests(d *Decision, s *mesh.Service, p *mesh.Port) {
	route := x.view.Route(s.Ref, p.Number)
	out := &Route{Name: s.Host + ":" + strconv.Itoa(int(p.Number))}
	d.Route = out
	if route == nil || route.Rules == nil {
		out.Rule = x.own(s, p)
		return
	}
	out.Scope, out.Rules = route.Scope, len(route.Rules)
	for i := range route.Rules {
		rule := &route.Rules[i]
		match, why := first(rule, &x.in.Request)
		if match == nil {
			out.Earlier = append(out.Earlier, Earlier{Rule: i, Name: rule.Name, Why: why, Source: x.source(rule.Origin)})
			continue
		}
		out.Later = len(route.Rules) - i - 1
		out.Rule = x.rule(i, rule, match)
		out.Answer = x.answer(rule, out.Rule)
		return
	}
	out.Answer = "404: no rule holds for the request"
}

// first is the alternative of a rule that holds, or why none does.
func first(rule *mesh.Rule, r *Request) (*mesh.Match, []string) {
	if len(rule.Matches) == 0 {
		return &mesh.Match{}, nil
	}
	var why []string
	for i := range rule.Matches {
		ok, reason := holds(&rule.Matches[i], r)
		if ok {
			return &rule.Matches[i], nil
		}
		why = append(why, reason)
	}
	return nil, why
}

// own is what holds where nobody has rules: the service itself.
func (x *explainer) own(s *mesh.Service, p *mesh.Port) *Rule {
	b := x.backend(mesh.Backend{Service: s.Ref, Port: p.Number, Weight: 1}, mesh.Origin{})
	b.Percent = 100
	return &Rule{Name: "default", Match: "every request", Backends: []Backend{b}, Settings: x.settings(&mesh.Rule{})}
}

func (x *explainer) rule(i int, rule *mesh.Rule, match *mesh.Match) *Rule {
	out := &Rule{Rule: i, Name: rule.Name, Match: describe(match), Source: x.source(rule.Origin), Settings: x.settings(rule)}
	if match.Name != "" {
		out.Name += "." + match.Name
	}
	out.Backends = x.backends(rule.Backends, rule.Origin)
	return out
}

// backends gives each its share of what has a weight.
func (x *explainer) backends(list []mesh.Backend, o mesh.Origin) []Backend {
	var sum float64
	for _, b := range list {
		sum += float64(b.Weight)
	}
	var out []Backend
	for _, b := range list {
		e := x.backend(b, o)
		if sum > 0 {
			e.Percent = float64(b.Weight) / sum * 100
		}
		out = append(out, e)
	}
	return out
}

// answer says what a rule answers by itself.
func (x *explainer) answer(rule *mesh.Rule, out *Rule) string {
	switch {
	case rule.Redirect != nil:
		return fmt.Sprintf("%d: redirect to %s", rule.Redirect.Status, x.location(rule.Redirect))
	case rule.Direct != nil:
		text := fmt.Sprintf("%d: answered by the proxy", rule.Direct.Status)
		if rule.Direct.Body != "" {
			text += fmt.Sprintf(" with %q", short(rule.Direct.Body))
		}
		return text
	}
	status := http.StatusInternalServerError
	for _, b := range out.Backends {
		switch {
		case b.Weight == 0:
		case b.Invalid == "":
			return ""
		default:
			status = b.Status
		}
	}
	return strconv.Itoa(status) + ": no backend can be used"
}

// location writes a redirect's parts; what it leaves out stays as it is.
func (x *explainer) location(r *mesh.Redirect) string {
	scheme, host := r.Scheme, r.Host
	if scheme == "" {
		scheme = x.in.Request.Scheme
	}
	if host == "" {
		host = x.in.Request.Host
	}
	if r.Port != 0 {
		host += ":" + strconv.Itoa(int(r.Port))
	}
	path, query, has := strings.Cut(x.in.Request.Target, "?")
	switch {
	case r.Path != "":
		path = r.Path
	case r.PrefixPath != nil:
		path = "<" + *r.PrefixPath + " in place of the matched prefix>"
	}
	if has {
		path += "?" + query
	}
	return scheme + "://" + host + path
}

func short(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// connection finds the rule for a connection as a whole.
func (x *explainer) connection(d *Decision, s *mesh.Service, p *mesh.Port) {
	route := x.view.Route(s.Ref, p.Number)
	out := &Route{Name: s.Host + ":" + strconv.Itoa(int(p.Number))}
	d.Route = out
	var rules []mesh.TCPRule
	if route != nil {
		rules, out.Scope = route.TCP, route.Scope
	}
	out.Rules = len(rules)
	sni := ""
	if d.Request.Scheme == "https" {
		if _, err := netip.ParseAddr(strings.Trim(d.Request.Host, "[]")); err != nil {
			sni = strings.TrimSuffix(d.Request.Host, ".")
		}
	}
	for i := range rules {
		rule := &rules[i]
		why, match := connectionHolds(rule, sni, s.Addresses)
		if match == "" {
			out.Earlier = append(out.Earlier, Earlier{Rule: i, Why: why, Source: x.source(rule.Origin)})
			continue
		}
		out.Later = len(rules) - i - 1
		out.Rule = &Rule{Rule: i, Match: match, Source: x.source(rule.Origin), Backends: x.backends(rule.Backends, rule.Origin)}
		usable := false
		for _, b := range out.Rule.Backends {
			usable = usable || b.Weight > 0 && b.Invalid == ""
		}
		if !usable {
			out.Answer = "the connection is closed: no backend can be used"
		}
		return
	}
	b := x.backend(mesh.Backend{Service: s.Ref, Port: p.Number, Weight: 1}, mesh.Origin{})
	b.Percent = 100
	out.Rule = &Rule{Name: "default", Match: "every connection", Backends: []Backend{b}}
}

// connectionHolds says by which match a rule holds, or why by none.
func connectionHolds(rule *mesh.TCPRule, sni string, addresses []netip.Addr) (why []string, match string) {
	if len(rule.Matches) == 0 {
		return nil, "every connection"
	}
	for i := range rule.Matches {
		m := &rule.Matches[i]
		var parts []string
		if len(m.SNI) > 0 {
			if !covers(m.SNI, sni) {
				is := fmt.Sprintf("the name in the TLS is %q", sni)
				if sni == "" {
					is = "there is no name in the TLS"
				}
				why = append(why, is+", wanted "+strings.Join(m.SNI, " or "))
				continue
			}
			parts = append(parts, "TLS for "+strings.Join(m.SNI, " or "))
		}
		if len(m.Subnets) > 0 {
			if !within(m.Subnets, addresses) {
				why = append(why, fmt.Sprintf("the destination is in none of %v", m.Subnets))
				continue
			}
			parts = append(parts, fmt.Sprintf("destination in %v", m.Subnets))
		}
		if len(parts) == 0 {
			return nil, "every connection"
		}
		return nil, strings.Join(parts, " and ")
	}
	return why, ""
}

func covers(patterns []string, name string) bool {
	for _, p := range patterns {
		if name != "" && mesh.HostCovers(lower(p), lower(name)) {
			return true
		}
	}
	return false
}

func within(subnets []netip.Prefix, addresses []netip.Addr) bool {
	for _, p := range subnets {
		if len(addresses) > 0 && p.Contains(addresses[0]) {
			return true
		}
	}
	return false
}
