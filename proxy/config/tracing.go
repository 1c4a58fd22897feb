package config

import (
	"strings"

	"github.com/weftmesh/weft/proxy/trace"
)

const urlOpenTelemetry = typePrefix + "envoy.config.trace.v3.OpenTelemetryConfig"

// tracing is HttpConnectionManager.Tracing with a provider that is known.
type tracing struct {
	spec trace.Spec
	tags []customTag
}

// customTag is envoy.type.tracing.v3.CustomTag of the kinds that are known.
type customTag struct {
	trace.Tag
	env string // name of a variable
}

// decodeTracing is nil for other providers than OpenTelemetry over gRPC: they
// change nothing of the traffic.
func decodeTracing(b []byte) (*tracing, error) {
	random, overall := 100.0, 100.0
	t := &tracing{}
	known := false
	err := eachField(b, func(f field) error {
		switch f.num {
		case 4:
			return f.in("random_sampling", func(b []byte) error { return decodePercent(b, &random) })
		case 5:
			return f.in("overall_sampling", func(b []byte) error { return decodePercent(b, &overall) })
		case 7:
			return at("max_path_tag_length", f.wrappedUint32(&t.spec.MaxPath))
		case 8:
			return f.in("custom_tags["+itoa(len(t.tags))+"]", t.tag)
		case 9:
			return f.in("provider", func(b []byte) error {
				name, a, _, err := decodeNamedAny(b, 3)
				if err != nil || a.url != urlOpenTelemetry {
					return err
				}
				known = true
				return at(name, t.openTelemetry(a.value))
			})
		case 11:
			return f.str(&t.spec.Operation)
		}
		return nil
	})
	t.spec.Sampling = random * overall / 100
	if strings.Contains(t.spec.Operation, "%") {
		t.spec.Operation = "" // a format
	}
	if err != nil || !known || t.spec.Cluster == "" {
		return nil, err
	}
	return t, nil
}

// openTelemetry reads an OpenTelemetryConfig. Without grpc_service there is
// nobody to report to.
func (t *tracing) openTelemetry(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("grpc_service", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.in("envoy_grpc", func(b []byte) error {
							return eachField(b, func(f field) error {
								switch f.num {
								case 1:
									return f.str(&t.spec.Cluster)
								case 2:
									return f.str(&t.spec.Authority)
								}
								return nil
							})
						})
					case 2:
						return unsupported("google_grpc")
					}
					return nil
				})
			})
		case 2:
			return f.str(&t.spec.Service)
		}
		return nil
	})
}

// tag reads a CustomTag; those of other kinds are passed over.
func (t *tracing) tag(b []byte) error {
	var c customTag
	known := false
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&c.Name)
		case 2:
			known = true
			return f.in("literal", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num == 1 {
						return f.str(&c.Value)
					}
					return nil
				})
			})
		case 3, 4:
			known = true
			name, to := "environment", &c.env
			if f.num == 4 {
				name, to = "request_header", &c.Field
			}
			return f.in(name, func(b []byte) error {
				err := eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.str(to)
					case 2:
						return f.str(&c.Value)
					}
					return nil
				})
				if err == nil && *to == "" {
					err = invalid("name: it is empty")
				}
				return err
			})
		}
		return nil
	})
	if err == nil && c.Name == "" {
		err = invalid("tag: it is empty")
	}
	if err == nil && known {
		c.Field = strings.ToLower(c.Field)
		t.tags = append(t.tags, c)
	}
	return err
}

// open makes the tracer; nil for none, and where nobody takes its spans.
func (t *tracing) open(o *Options, operations map[uint16]string) *trace.Tracer {
	if t == nil || o.Traces == nil {
		return nil
	}
	s := t.spec
	for _, c := range t.tags {
		if c.env != "" && o.Env != nil {
			if v, ok := o.Env(c.env); ok {
				c.Value = v
			}
		}
		if c.Value != "" || c.Field != "" {
			s.Tags = append(s.Tags, c.Tag)
		}
	}
	return trace.New(s, operations, o.Traces)
}

// openTraces makes the tracer of a listener that is no destination: of its
// first chain that has one. Each chain names the spans of its port.
func (l *listener) openTraces(o *Options) *trace.Tracer {
	var first *tracing
	operations := map[uint16]string{}
	for i := range l.chains {
		c := &l.chains[i]
		if c.http == nil || c.http.trace == nil {
			continue
		}
		if first == nil {
			first = c.http.trace
		}
		if n := c.http.trace.spec.Operation; n != "" && c.port > 0 {
			operations[uint16(c.port)] = n
		}
	}
	if first == nil {
		return nil
	}
	own := *first
	own.spec.Operation = ""
	return own.open(o, operations)
}

// collectors adds the clusters that spans are sent to. No destination waits for
// them.
func (s *Store) collectors(cs map[string]bool) {
	add := func(m *httpManager) {
		if m != nil && m.trace != nil && !builtin(m.trace.spec.Cluster) {
			cs[m.trace.spec.Cluster] = true
		}
	}
	if l, a := s.listeners.get(virtualInbound); a == present {
		for i := range l.chains {
			add(l.chains[i].http)
		}
	}
	for name := range s.dests {
		if l, a := s.listeners.get(name); a == present {
			add(l.http)
		}
	}
}
