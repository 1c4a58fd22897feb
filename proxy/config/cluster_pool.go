package config

import (
	"math"
	"time"

	"github.com/weftmesh/weft/proxy/upstream"
)

const urlHTTPOptions = typePrefix + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// never is an idle timeout of 0: there is none.
const never = time.Duration(math.MaxInt64 / 4)

// decodeBreakers reads CircuitBreakers. Of the priorities just DEFAULT is used.
func (c *clusterParts) decodeBreakers(b []byte) error {
	l := &c.spec.Limits
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("thresholds", func(b []byte) error {
				var t upstream.Limits
				priority, err := decodeThresholds(b, &t)
				if err == nil && priority == 0 {
					t.MaxPerEndpoint = l.MaxPerEndpoint
					*l = t
				}
				return err
			})
		case 2:
			return f.in("per_host_thresholds", func(b []byte) error {
				var t upstream.Limits
				priority, err := decodeThresholds(b, &t)
				if err != nil || priority != 0 {
					return err
				}
				l.MaxPerEndpoint = t.MaxConnections
				if t.MaxConnections = (upstream.Limit{}); t != (upstream.Limits{}) {
					return unsupported("anything but max_connections")
				}
				return nil
			})
		}
		return nil
	})
}

// decodeThresholds reads CircuitBreakers.Thresholds.
func decodeThresholds(b []byte, l *upstream.Limits) (priority uint32, err error) {
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			if err := f.uint32(&priority); err != nil {
				return err
			}
			if priority > 1 {
				return invalid("priority %d", priority)
			}
		case 2:
			return at("max_connections", f.limit(&l.MaxConnections))
		case 3:
			return at("max_pending_requests", f.limit(&l.MaxPending))
		case 4:
			return at("max_requests", f.limit(&l.MaxRequests))
		case 5:
			return at("max_retries", f.limit(&l.MaxRetries))
		case 8:
			l.RetryBudget, l.RetryPercent, l.MinRetries = true, 20, 3
			return f.in("retry_budget", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.in("budget_percent", func(b []byte) error { return decodePercent(b, &l.RetryPercent) })
					case 2:
						return at("min_retry_concurrency", f.wrappedUint32(&l.MinRetries))
					case 3:
						return f.in("budget_interval", func(b []byte) error {
							d, err := decodeSpan(b)
							if err == nil && d != 0 {
								err = unsupported("%s: retries are compared with the requests of the moment", d)
							}
							return err
						})
					}
					return nil
				})
			})
		}
		return nil
	})
	return priority, err
}

// limit reads a threshold. The largest number stands for none.
func (f field) limit(to *upstream.Limit) error {
	var n uint32
	err := f.wrappedUint32(&n)
	if *to = upstream.AtMost(n); n == math.MaxUint32 {
		*to = upstream.Limit{}
	}
	return err
}

// decodeConnectionOptions reads UpstreamConnectionOptions.
func (c *clusterParts) decodeConnectionOptions(b []byte) error {
	k := &c.spec.Connections.KeepAlive
	seconds := func(f field, name string, to *time.Duration) error {
		var n uint32
		err := f.wrappedUint32(&n)
		*to = time.Duration(n) * time.Second
		return at(name, err)
	}
	return eachField(b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		return f.in("tcp_keepalive", func(b []byte) error {
			return eachField(b, func(f field) error {
				switch f.num {
				case 1:
					return at("keepalive_probes", f.wrappedUint32(&k.Probes))
				case 2:
					return seconds(f, "keepalive_time", &k.Time)
				case 3:
					return seconds(f, "keepalive_interval", &k.Interval)
				}
				return nil
			})
		})
	})
}

// decodeHTTP reads HttpProtocolOptions, and the fields of a cluster that were
// there before it.
func (c *clusterParts) decodeHTTP(f field) error {
	n := &c.spec.Connections
	switch f.num {
	case 9:
		return at("max_requests_per_connection", f.wrappedUint32(&n.MaxRequests))
	case 14:
		c.spec.HTTP2 = true
		return f.in("http2_protocol_options", c.decodeHTTP2)
	case 29:
		return f.in("common_http_protocol_options", c.decodeCommonHTTP)
	}
	return f.in("typed_extension_protocol_options", func(b []byte) error {
		key, val, err := mapEntry(b)
		if err != nil {
			return err
		}
		a, err := decodeAny(val)
		if err != nil {
			return at(key, err)
		}
		if a.url != urlHTTPOptions {
			return unsupported("%s of type %q", key, a.url)
		}
		return at(key, eachField(a.value, c.httpOption))
	})
}

func (c *clusterParts) httpOption(f field) error {
	switch f.num {
	case 1:
		return f.in("common_http_protocol_options", c.decodeCommonHTTP)
	case 3:
		return f.in("explicit_http_config", func(b []byte) error {
			return eachField(b, func(f field) error {
				c.spec.HTTP2 = f.num == 2
				switch f.num {
				case 1:
					return nil
				case 2:
					return f.in("http2_protocol_options", c.decodeHTTP2)
				}
				return unsupported("HTTP/3 (field %d)", f.num)
			})
		})
	case 4, 5:
		c.spec.FollowClient = f.num == 4
		name := map[bool]string{true: "use_downstream_protocol_config", false: "auto_config"}[c.spec.FollowClient]
		return f.in(name, func(b []byte) error {
			return eachField(b, func(f field) error {
				if f.num == 2 {
					return f.in("http2_protocol_options", c.decodeHTTP2)
				}
				return nil
			})
		})
	case 6, 8, 9, 10, 11:
		return unsupported("filters, matchers and policies of a cluster (field %d)", f.num)
	}
	return nil
}

// decodeCommonHTTP reads envoy.config.core.v3.HttpProtocolOptions.
func (c *clusterParts) decodeCommonHTTP(b []byte) error {
	n := &c.spec.Connections
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("idle_timeout", func(b []byte) error {
				d, err := decodeSpan(b)
				if n.Idle = d; d == 0 {
					n.Idle = never
				}
				return err
			})
		case 3:
			return f.in("max_connection_duration", func(b []byte) (err error) {
				n.MaxAge, err = decodeSpan(b)
				return err
			})
		case 4:
			return unsupported("max_stream_duration")
		case 6:
			return at("max_requests_per_connection", f.wrappedUint32(&n.MaxRequests))
		}
		return nil
	})
}

func (c *clusterParts) decodeHTTP2(b []byte) error {
	n := &c.spec.Connections
	return eachField(b, func(f field) error {
		switch f.num {
		case 2:
			err := f.wrappedUint32(&n.MaxStreams)
			if err == nil && (n.MaxStreams == 0 || n.MaxStreams > math.MaxInt32) {
				err = invalid("%d", n.MaxStreams)
			}
			return at("max_concurrent_streams", err)
		case 15:
			return f.in("connection_keepalive", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.duration("interval", &n.Ping)
					case 2:
						return f.duration("timeout", &n.PingTimeout)
					}
					return nil
				})
			})
		}
		return nil
	})
}
