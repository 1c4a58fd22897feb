package config

import (
	"time"
)

// httpManager is HttpConnectionManager. Exactly one of route and inline is set.
type httpManager struct {
	stat   string
	route  string // name, over RDS
	inline *routes
	logs   loggers
	trace  *tracing // nil for none
}

// tcpProxy is TcpProxy.
type tcpProxy struct {
	stat   string
	shares []share
	// idle ends a connection on which nothing moves; 0 for never.
	idle time.Duration
	// bySource is a hash_policy.
	bySource bool
	logs     loggers
}

func decodeHTTPManager(b []byte) (*httpManager, error) {
	m := &httpManager{}
	routers := 0
	err := eachField(b, func(f field) error {
		switch f.num {
		case 2:
			return f.str(&m.stat)
		case 3:
			return f.in("rds", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.in("config_source", decodeSource)
					case 2:
						return f.str(&m.route)
					}
					return nil
				})
			})
		case 4:
			return f.in("route_config", func(b []byte) (err error) {
				m.inline, err = decodeRoutes(b)
				return err
			})
		case 5:
			return f.in("http_filters", func(b []byte) error {
				name, a, skip, err := decodeNamedAny(b, 4)
				switch {
				case err != nil || skip:
					return err
				case a.url != urlRouter:
					return at(name, allowedFilter(a))
				}
				routers++
				return nil
			})
		case 7:
			return f.in("tracing", func(b []byte) (err error) {
				m.trace, err = decodeTracing(b)
				return err
			})
		case 13:
			return f.in("access_log["+itoa(len(m.logs))+"]", m.logs.decode)
		case 31:
			return unsupported("scoped_routes")
		case 38:
			return unsupported("local_reply_config")
		}
		return nil
	})
	switch {
	case err != nil:
	case routers != 1:
		err = invalid("http_filters: want one envoy.filters.http.router")
	case (m.route == "") == (m.inline == nil):
		err = invalid("want rds.route_config_name or route_config")
	}
	return m, err
}

// decodeSource demands that a ConfigSource is this very stream.
func decodeSource(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1, 2, 8:
			return unsupported("a source other than ads (field %d)", f.num)
		}
		return nil
	})
}

func decodeTCPProxy(b []byte) (*tcpProxy, error) {
	t := &tcpProxy{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&t.stat)
		case 2:
			s := share{weight: 1}
			t.shares = []share{s}
			return f.str(&t.shares[0].cluster)
		case 10:
			t.shares = nil
			return f.in("weighted_clusters", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num != 1 {
						return nil
					}
					return f.in("clusters", func(b []byte) error {
						var s share
						err := eachField(b, func(f field) error {
							switch f.num {
							case 1:
								return f.str(&s.cluster)
							case 2:
								return f.uint32(&s.weight)
							case 3:
								return unsupported("metadata_match")
							}
							return nil
						})
						t.shares = append(t.shares, s)
						return err
					})
				})
			})
		case 5:
			return f.in("access_log["+itoa(len(t.logs))+"]", t.logs.decode)
		case 8:
			return f.in("idle_timeout", func(b []byte) (err error) {
				t.idle, err = decodeSpan(b)
				return err
			})
		case 11:
			return f.in("hash_policy", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num != 1 {
						return unsupported("anything but source_ip (field %d)", f.num)
					}
					t.bySource = true
					return nil
				})
			})
		case 9, 12, 14:
			return unsupported("metadata_match, tunneling_config and on_demand (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		err = checkShares(t.shares)
	}
	return t, err
}
