package config

import (
	"strconv"
	"strings"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/route"
)

func itoa(n int) string { return strconv.Itoa(n) }

// invalidBackend is the cluster name of a backend that cannot be used.
const invalidBackend = "invalid"

// routes is envoy.config.route.v3.RouteConfiguration with its one virtual host.
type routes struct {
	name  string
	rules []rule
}

// rule is envoy.config.route.v3.Route.
type rule struct {
	name, origin string
	match        route.MatchSpec
	shares       []share
	status       uint32 // of a direct response; 0 for none
	headers      filter.Step
}

// share is a cluster with its weight.
type share struct {
	cluster string
	weight  uint32
	headers filter.Step
}

func checkShares(s []share) error {
	var total uint64
	for i := range s {
		if s[i].cluster == "" {
			return invalid("clusters[%d]: the name is empty", i)
		}
		total += uint64(s[i].weight)
	}
	if total == 0 {
		return invalid("the weights of all clusters sum to 0")
	}
	return nil
}

func decodeRoutes(b []byte) (*routes, error) {
	r := &routes{}
	hosts := 0
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&r.name)
		case 2:
			hosts++
			return f.in("virtual_hosts["+itoa(hosts-1)+"]", r.decodeHost)
		case 4, 5, 6, 8, 9, 12, 13, 16, 18, 19:
			return unsupported("headers, plugins and filters of the whole configuration (field %d)", f.num)
		}
		return nil
	})
	if err == nil && hosts != 1 {
		err = unsupported("%d virtual hosts, want one", hosts)
	}
	return r, err
}

func (r *routes) decodeHost(b []byte) error {
	all := false
	err := eachField(b, func(f field) error {
		switch f.num {
		case 2:
			var d string
			err := f.str(&d)
			all = all || d == "*"
			return err
		case 3:
			return f.in("routes["+itoa(len(r.rules))+"]", func(b []byte) error {
				u, err := decodeRule(b)
				if err == nil {
					r.rules = append(r.rules, *u)
				}
				return err
			})
		case 4:
			if f.u != 0 {
				return unsupported("require_tls")
			}
		case 7, 8, 10, 11, 13, 15, 21, 22, 26:
			return unsupported("headers, filters and matchers of the virtual host (field %d)", f.num)
		}
		return nil
	})
	if err == nil && !all {
		err = unsupported(`domains without "*"`)
	}
	return err
}

func decodeRule(b []byte) (*rule, error) {
	u := &rule{}
	var req, resp headerChange
	matched, acted := false, false
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			matched = true
			return f.in("match", func(b []byte) (err error) {
				u.match, err = decodeMatch(b)
				return err
			})
		case 2:
			acted = true
			return f.in("route", u.decodeAction)
		case 7:
			acted = true
			return f.in("direct_response", u.decodeDirect)
		case 4:
			return f.in("metadata", func(b []byte) error {
				m, _, err := weftMetadata(b)
				u.origin = m["origin"]
				return err
			})
		case 9:
			return f.in("request_headers_to_add", req.option)
		case 12:
			return req.removed(f)
		case 10:
			return f.in("response_headers_to_add", resp.option)
		case 11:
			return resp.removed(f)
		case 14:
			return f.str(&u.name)
		case 3, 13, 17, 18, 21:
			return unsupported("redirect, filter_action and typed_per_filter_config (field %d)", f.num)
		}
		return nil
	})
	u.headers = filter.Step{Request: req.compile(), Response: resp.compile()}
	switch {
	case err != nil:
	case !matched:
		err = invalid("match is missing")
	case !acted:
		err = invalid("the action is missing: want route or direct_response")
	default:
		// Compiled here so that an invalid expression is refused on arrival.
		_, err = route.NewRule(route.RuleSpec{Match: u.match})
	}
	return u, err
}

func (u *rule) decodeDirect(b []byte) error {
	// The body is not looked at: what this proxy answers itself has none.
	err := eachField(b, func(f field) error {
		if f.num == 1 {
			return f.uint32(&u.status)
		}
		return nil
	})
	if err == nil && (u.status < 200 || u.status > 599) {
		err = invalid("status %d", u.status)
	}
	return err
}

func (u *rule) decodeAction(b []byte) error {
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			u.shares = []share{{weight: 1}}
			return f.str(&u.shares[0].cluster)
		case 3:
			u.shares = nil
			return f.in("weighted_clusters", u.decodeWeighted)
		case 2, 37, 39:
			return unsupported("cluster_header and cluster_specifier_plugin (field %d)", f.num)
		case 5, 6, 7, 29, 32, 35, 41, 44, 45:
			return unsupported("a rewrite of path or host (field %d)", f.num)
		case 4, 26, 34:
			return unsupported("metadata_match and internal redirects (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		err = checkShares(u.shares)
	}
	return err
}

func (u *rule) decodeWeighted(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("clusters["+itoa(len(u.shares))+"]", func(b []byte) error {
				s, err := decodeShare(b)
				u.shares = append(u.shares, s)
				return err
			})
		case 4, 5:
			return unsupported("header_name and use_hash_policy (field %d)", f.num)
		}
		return nil
	})
}

func decodeShare(b []byte) (s share, err error) {
	var req, resp headerChange
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&s.cluster)
		case 2:
			return at("weight", f.wrappedUint32(&s.weight))
		case 4:
			return f.in("request_headers_to_add", req.option)
		case 9:
			return req.removed(f)
		case 5:
			return f.in("response_headers_to_add", resp.option)
		case 6:
			return resp.removed(f)
		case 3, 10, 11, 12:
			return unsupported("metadata_match, typed_per_filter_config, host_rewrite_literal and cluster_header (field %d)", f.num)
		}
		return nil
	})
	s.headers = filter.Step{Request: req.compile(), Response: resp.compile()}
	return s, err
}

// headerChange gathers one side's *_headers_to_add and *_headers_to_remove.
type headerChange struct {
	set, add []filter.Header
	remove   []string
}

func (c *headerChange) compile() filter.HeaderOps { return filter.NewHeaderOps(c.set, c.add, c.remove) }

func (c *headerChange) removed(f field) error {
	var name string
	if err := f.str(&name); err != nil {
		return err
	}
	if err := checkName(name); err != nil {
		return at("headers_to_remove", err)
	}
	if strings.EqualFold(name, "host") {
		return unsupported("to remove host")
	}
	c.remove = append(c.remove, name)
	return nil
}

// option reads a HeaderValueOption.
func (c *headerChange) option(b []byte) error {
	var h filter.Header
	var action uint32
	appends, keepEmpty := true, false
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("header", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.str(&h.Name)
					case 2, 3:
						return f.str(&h.Value)
					}
					return nil
				})
			})
		case 2:
			return f.wrappedBool(&appends)
		case 3:
			return f.uint32(&action)
		case 4:
			return f.bool(&keepEmpty)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := checkName(h.Name); err != nil {
		return err
	}
	if h.Value, err = literal(h.Value); err != nil {
		return at(h.Name, err)
	}
	if h.Value == "" && !keepEmpty {
		return nil
	}
	switch {
	case action == 2 || action == 0 && !appends:
		c.set = append(c.set, h)
	case strings.EqualFold(h.Name, "host"):
		return unsupported("to append to host")
	case action == 0:
		c.add = append(c.add, h)
	default:
		return unsupported("append_action %d of %s", action, h.Name)
	}
	return nil
}

// checkName accepts a token (RFC 9110 section 5.6.2).
func checkName(n string) error {
	if n == "" {
		return invalid("the name of a header is empty")
	}
	for i := 0; i < len(n); i++ {
		c := n[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return invalid("header name %q", n)
	}
	return nil
}

// literal undoes Envoy's escape %% in a value. Its commands, such as
// %DOWNSTREAM_REMOTE_ADDRESS%, are refused; a percent sign that begins none
// stands for itself.
func literal(v string) (string, error) {
	var out []byte
	for i := 0; i < len(v); i++ {
		c := v[i]
		if c < 0x20 && c != '\t' || c == 0x7f {
			return "", invalid("a value with control characters")
		}
		if c == '%' && i+1 < len(v) {
			if v[i+1] == '%' {
				i++
			} else if v[i+1] >= 'A' && v[i+1] <= 'Z' && strings.IndexByte(v[i+1:], '%') > 0 {
				return "", unsupported("a value with a substitution: %q (a percent sign is written %%%%)", v)
			}
		}
		out = append(out, c)
	}
	return string(out), nil
}
