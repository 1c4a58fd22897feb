package config

import (
	"cmp"
	"strings"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/route"
)

// The filters that a route may configure for itself.
const (
	urlCORSPolicy = typePrefix + "envoy.extensions.filters.http.cors.v3.CorsPolicy"
	urlCORS       = typePrefix + "envoy.extensions.filters.http.cors.v3.Cors"
	urlFault      = typePrefix + "envoy.extensions.filters.http.fault.v3.HTTPFault"
	urlFilterConf = typePrefix + "envoy.config.route.v3.FilterConfig"
)

// decodeFilter reads an entry of typed_per_filter_config.
func (u *rule) decodeFilter(b []byte) error {
	key, val, err := mapEntry(b)
	if err != nil {
		return err
	}
	a, err := decodeAny(val)
	if err != nil {
		return err
	}
	return at(key, u.configure(a))
}

func (u *rule) configure(a anyMessage) error {
	switch a.url {
	case urlCORSPolicy:
		c, err := decodeCORS(a.value)
		u.ask().CORS = c
		return err
	case urlFault:
		return u.decodeFault(a.value)
	case urlFilterConf:
		var inner anyMessage
		off := false
		err := eachField(a.value, func(f field) (err error) {
			switch f.num {
			case 1:
				inner, err = decodeAny(f.b)
				return err
			case 3:
				return f.bool(&off)
			}
			return nil
		})
		if err != nil || off || inner.url == "" || inner.url == urlFilterConf {
			return err
		}
		return u.configure(inner)
	}
	return unsupported("a filter of type %q", a.url)
}

// decodeCORS reads a CorsPolicy.
func decodeCORS(b []byte) (*filter.CORS, error) {
	c := &filter.CORS{Forward: true}
	var origins []func([]byte) bool
	text := func(name string, f field, to *string) error {
		if err := f.str(to); err != nil {
			return err
		}
		return at(name, checkText(*to))
	}
	enabled := route.Share(route.Million)
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("allow_origin_string_match", func(b []byte) error {
				var v route.ValueMatch
				if err := decodeString(b, &v); err != nil {
					return err
				}
				if v.Kind == route.Exact && v.Value == "*" {
					v.Kind = route.Present
				}
				m, err := route.NewText(v)
				origins = append(origins, m)
				return err
			})
		case 2:
			return text("allow_methods", f, &c.Methods)
		case 3:
			return text("allow_headers", f, &c.Headers)
		case 4:
			return text("expose_headers", f, &c.Expose)
		case 5:
			return text("max_age", f, &c.MaxAge)
		case 6:
			return at("allow_credentials", f.wrappedBool(&c.Credentials))
		case 7:
			return f.in("filter_enabled", func(b []byte) (err error) {
				enabled, err = decodeRuntimeFraction(b)
				return err
			})
		case 9:
			return at("allow_private_network_access", f.wrappedBool(&c.PrivateNetwork))
		case 10:
			return at("forward_not_matching_preflights", f.wrappedBool(&c.Forward))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case enabled == 0:
		return nil, nil
	case enabled < route.Million:
		return nil, unsupported("filter_enabled for a share of the requests")
	}
	c.Origins = func(o []byte) bool {
		for _, m := range origins {
			if m(o) {
				return true
			}
		}
		return false
	}
	return c, nil
}

// decodeFault reads an HTTPFault.
func (u *rule) decodeFault(b []byte) error {
	var delay *route.Delay
	var abort *route.Abort
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			delay = &route.Delay{}
			return f.in("delay", func(b []byte) error {
				return eachField(b, func(f field) (err error) {
					switch f.num {
					case 3:
						delay.For, err = decodeSpan(f.b)
					case 4:
						delay.Share, err = decodeFraction(f.b)
					case 5:
						err = unsupported("header_delay")
					}
					return err
				})
			})
		case 2:
			abort = &route.Abort{}
			return f.in("abort", func(b []byte) error { return decodeAbort(b, abort) })
		case 3, 4, 5, 6, 7:
			return unsupported("conditions on clusters, headers and nodes, and limits (field %d)", f.num)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if delay != nil && delay.For > 0 && delay.Share > 0 {
		u.ask().Delay = delay
	}
	if abort != nil && abort.Share > 0 {
		if abort.Status == 0 && abort.GRPC == 0 {
			return invalid("abort: want http_status or grpc_status")
		}
		u.ask().Abort = abort
	}
	return nil
}

func decodeAbort(b []byte, a *route.Abort) error {
	return eachField(b, func(f field) (err error) {
		var n uint32
		switch f.num {
		case 2:
			if err = f.uint32(&n); err == nil && (n < 200 || n > 599) {
				err = invalid("http_status %d", n)
			}
			a.Status = int(n)
		case 3:
			a.Share, err = decodeFraction(f.b)
		case 4:
			err = unsupported("header_abort")
		case 5:
			if err = f.uint32(&n); err == nil && n > 16 {
				err = invalid("grpc_status %d", n)
			}
			a.GRPC = int(n)
		}
		return err
	})
}

// allowedFilter says whether a listener may name a filter besides the router:
// it does nothing but what routes configure. A fault for all routes is refused.
func allowedFilter(a anyMessage) error {
	switch a.url {
	case urlCORS:
		return nil
	case urlFault:
		var u rule
		err := u.decodeFault(a.value)
		if err == nil && u.traffic != nil {
			err = unsupported("a fault for every route")
		}
		return err
	}
	return unsupported("a filter of type %q", cmp.Or(strings.TrimPrefix(a.url, typePrefix), "none"))
}
