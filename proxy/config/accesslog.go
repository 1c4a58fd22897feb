package config

import (
	"encoding/json"
	"math"
	"strconv"

	"github.com/weftmesh/weft/proxy/accesslog"
)

const (
	urlFileLog   = typePrefix + "envoy.extensions.access_loggers.file.v3.FileAccessLog"
	urlStdoutLog = typePrefix + "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog"
	urlStderrLog = typePrefix + "envoy.extensions.access_loggers.stream.v3.StderrAccessLog"
)

// loggers are the access loggers of an HTTP connection manager or a TCP proxy.
type loggers []accesslog.Spec

// decode reads an envoy.config.accesslog.v3.AccessLog. Loggers of other kinds
// than files and streams are passed over: they change nothing of the traffic.
func (l *loggers) decode(b []byte) error {
	name, a, _, err := decodeNamedAny(b, 4)
	if err != nil {
		return err
	}
	filtered := false
	if err := eachField(b, func(f field) error {
		filtered = filtered || f.num == 2
		return nil
	}); err != nil {
		return err
	}
	var s accesslog.Spec
	switch a.url {
	case urlFileLog:
		err = fileLog(&s, a.value)
	case urlStdoutLog, urlStderrLog:
		s.Path = map[string]string{urlStdoutLog: "/dev/stdout", urlStderrLog: "/dev/stderr"}[a.url]
		err = eachField(a.value, func(f field) error {
			if f.num == 1 {
				return f.in("log_format", func(b []byte) error { return substitution(&s, b) })
			}
			return nil
		})
	default:
		return nil
	}
	switch {
	case err != nil:
	case filtered:
		err = unsupported("filter")
	case s.Path == "":
		err = invalid("path: it is empty")
	default:
		if e := accesslog.Check([]accesslog.Spec{s}); e != nil {
			err = invalid("log_format: %v", e)
		}
	}
	*l = append(*l, s)
	return at(name, err)
}

// fileLog reads a FileAccessLog.
func fileLog(s *accesslog.Spec, b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&s.Path)
		case 2:
			return f.str(&s.Text)
		case 3, 4:
			return f.in("json_format", func(b []byte) error { return jsonFormat(s, b) })
		case 5:
			return f.in("log_format", func(b []byte) error { return substitution(s, b) })
		}
		return nil
	})
}

// substitution reads a SubstitutionFormatString.
func substitution(s *accesslog.Spec, b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&s.Text)
		case 2:
			return f.in("json_format", func(b []byte) error { return jsonFormat(s, b) })
		case 3:
			return f.bool(&s.OmitEmpty)
		case 5:
			return f.in("text_format_source", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num == 2 || f.num == 3 {
						return f.str(&s.Text)
					}
					return unsupported("a source other than inline_string (field %d)", f.num)
				})
			})
		}
		return nil
	})
}

func jsonFormat(s *accesslog.Spec, b []byte) error {
	v, err := structValue(b, 0)
	s.JSON = &v
	return err
}

// maxStruct bounds how deep a google.protobuf.Struct is nested.
const maxStruct = 16

// structValue reads a google.protobuf.Struct.
func structValue(b []byte, depth int) (v accesslog.Value, err error) {
	v.Kind = accesslog.Object
	if depth > maxStruct {
		return v, invalid("nested deeper than %d", maxStruct)
	}
	err = eachField(b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		var one accesslog.Field
		err := f.in("fields", func(b []byte) error {
			return eachField(b, func(f field) error {
				switch f.num {
				case 1:
					return f.str(&one.Key)
				case 2:
					return f.in(one.Key, func(b []byte) (err error) {
						one.Value, err = anyValue(b, depth+1)
						return err
					})
				}
				return nil
			})
		})
		v.Fields = append(v.Fields, one)
		return err
	})
	return v, err
}

// anyValue reads a google.protobuf.Value.
func anyValue(b []byte, depth int) (v accesslog.Value, err error) {
	v = accesslog.Value{Kind: accesslog.Raw, Raw: "null"}
	err = eachField(b, func(f field) error {
		switch f.num {
		case 2:
			var n float64
			if err := f.double(&n); err != nil {
				return err
			}
			if math.IsNaN(n) || math.IsInf(n, 0) {
				return invalid("a number that JSON does not have")
			}
			text, err := json.Marshal(n)
			v.Raw = string(text)
			return err
		case 3:
			v = accesslog.Value{Kind: accesslog.Text}
			return f.str(&v.Text)
		case 4:
			is := false
			err := f.bool(&is)
			v.Raw = strconv.FormatBool(is)
			return err
		case 5:
			b, err := f.msg()
			if err == nil {
				v, err = structValue(b, depth)
			}
			return err
		case 6:
			v = accesslog.Value{Kind: accesslog.List}
			return f.in("list_value", func(b []byte) error {
				return eachField(b, func(f field) error {
					one, err := anyValue(f.b, depth+1)
					v.List = append(v.List, one)
					return err
				})
			})
		}
		return nil
	})
	if depth > maxStruct {
		err = invalid("nested deeper than %d", maxStruct)
	}
	return v, err
}

// open makes the log of loggers; nil for none, and where nobody takes it.
func (l loggers) open(o *Options) *accesslog.Log {
	if len(l) == 0 || o.AccessLogs == nil {
		return nil
	}
	log, err := accesslog.New(l, o.AccessLogs)
	if err != nil {
		// Decoding has checked all that this does.
		o.Log.Error("access log refused late", "error", err)
	}
	return log
}

// openLogs makes the logs of a listener that is no destination: those of its
// first chain that has some.
func (l *listener) openLogs(o *Options) (http, tcp *accesslog.Log) {
	chains := l.chains
	if l.def != nil {
		chains = append(chains[:len(chains):len(chains)], *l.def)
	}
	for i := range chains {
		c := &chains[i]
		if c.http != nil && http == nil {
			http = c.http.logs.open(o)
		}
		if c.tcp != nil && tcp == nil {
			tcp = c.tcp.logs.open(o)
		}
	}
	return http, tcp
}
