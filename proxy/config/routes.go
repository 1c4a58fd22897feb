package config

import (
	"cmp"
	"strconv"
	"time"

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
	name, origin, stat string
	match              route.MatchSpec
	shares             []share
	status             uint32 // of a direct response without a body, 0 for none
	headers            filter.Step
	// traffic is nil where the rule asks for nothing besides; its mirrors have
	// names but no clusters yet, and its budget is named by budget.
	traffic *route.Traffic
	budget  budgetSpec
	// floor is the least pause before a retry.
	floor time.Duration
}

// ask makes sure that the rule has a traffic.
func (u *rule) ask() *route.Traffic {
	if u.traffic == nil {
		u.traffic = &route.Traffic{}
	}
	return u.traffic
}

// share is a cluster with its weight.
type share struct {
	cluster string
	weight  uint32
	headers filter.Step
	host    string // replaces the authority
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
	var held uint64
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
		case 3:
			acted = true
			return f.in("redirect", u.decodeRedirect)
		case 7:
			acted = true
			return f.in("direct_response", u.decodeDirect)
		case 4:
			return f.in("metadata", u.decodeMetadata)
		case 9:
			return f.in("request_headers_to_add", req.option)
		case 12:
			return req.removed(f)
		case 10:
			return f.in("response_headers_to_add", resp.option)
		case 11:
			return resp.removed(f)
		case 13:
			return f.in("typed_per_filter_config", u.decodeFilter)
		case 14:
			return f.str(&u.name)
		case 16:
			var n uint32
			err := at("per_request_buffer_limit_bytes", f.wrappedUint32(&n))
			held = uint64(n)
			return err
		case 20:
			v, err := wrapped(f.b)
			held = v.u
			return at("request_body_buffer_limit", err)
		case 19:
			return f.str(&u.stat)
		case 17, 18, 21:
			return unsupported("filter_action and route specifiers (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		u.headers, err = step(&req, &resp)
	}
	if u.floor > 0 && u.traffic != nil && u.traffic.Retry != nil {
		u.traffic.Retry.Floor = u.floor
	}
	if held > 0 {
		u.ask().MaxHeld = int(min(held, maxHeld))
	}
	switch {
	case err != nil:
	case !matched:
		err = invalid("match is missing")
	case !acted:
		err = invalid("the action is missing: want route, redirect or direct_response")
	default:
		// Compiled here so that an invalid expression is refused on arrival.
		_, err = route.NewRule(u.spec())
	}
	return u, err
}

// maxHeld bounds what a configuration may ask a proxy to hold of a request's
// body, in bytes.
const maxHeld = 1 << 20

// spec is the rule without its backends.
func (u *rule) spec() route.RuleSpec {
	return route.RuleSpec{Name: u.name, Origin: u.origin, Stat: cmp.Or(u.stat, u.origin), Match: u.match, Headers: u.headers,
		Status: int(u.status), Traffic: u.traffic}
}

func (u *rule) decodeDirect(b []byte) error {
	var status uint32
	var body []byte
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.uint32(&status)
		case 2:
			return f.in("body", func(b []byte) (err error) {
				body, err = decodeInline(b)
				return err
			})
		case 3:
			return unsupported("body_format")
		}
		return nil
	})
	switch {
	case err != nil:
	case status < 200 || status > 599:
		err = invalid("status %d", status)
	case len(body) > maxDirect:
		err = invalid("a body of %d bytes, the limit is %d", len(body), maxDirect)
	case status == 500 && string(body) == noBackend:
		u.status = status
	default:
		u.ask().Direct = &route.Direct{Status: int(status), Body: body}
	}
	return err
}

// noBackend is the body by which the control plane says that none of a rule's
// backends can be used (ours).
const noBackend = "no backend can be used\n"

// maxDirect bounds the body of a direct response, in bytes.
const maxDirect = 64 << 10

// decodeInline reads a DataSource that is inline.
func decodeInline(b []byte) (body []byte, err error) {
	err = eachField(b, func(f field) error {
		switch f.num {
		case 2, 3:
			p, err := f.msg()
			body = append([]byte{}, p...)
			return err
		}
		return unsupported("a data source that is not inline (field %d)", f.num)
	})
	return body, err
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
		case 11:
			if err := f.str(&s.host); err != nil {
				return err
			}
			return at("host_rewrite_literal", checkHost(s.host))
		case 3, 10, 12:
			return unsupported("metadata_match, typed_per_filter_config and cluster_header (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		s.headers, err = step(&req, &resp)
	}
	return s, err
}
