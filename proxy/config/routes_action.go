package config

import (
	"regexp"
	"strings"
	"time"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/route"
)

// decodeAction reads a RouteAction. What changes where a request goes, or what
// the backend sees of it, is refused where it is not known.
func (u *rule) decodeAction(b []byte) error {
	var w filter.Rewrite
	rewrites := false
	rewrite := func(name string, err error) error {
		rewrites = true
		return at(name, err)
	}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			u.shares = []share{{weight: 1}}
			return f.str(&u.shares[0].cluster)
		case 3:
			u.shares = nil
			return f.in("weighted_clusters", u.decodeWeighted)
		case 5:
			w.Path.HasPrefix = true
			return rewrite("prefix_rewrite", f.path(&w.Path.Prefix))
		case 32:
			return rewrite("regex_rewrite", f.substitute(&w.Path.Regex, &w.Path.Template))
		case 45:
			// A format in Envoy; without commands it is the whole path.
			if err := f.str(&w.Path.Full); err != nil {
				return err
			}
			v, err := constant(w.Path.Full)
			if err == nil {
				err = checkPath(v)
			}
			w.Path.Full = v
			return rewrite("path_rewrite", err)
		case 6, 44:
			if err := f.str(&w.Host); err != nil {
				return err
			}
			return rewrite("host_rewrite_literal", checkHost(w.Host))
		case 29:
			err := f.str(&w.HostField)
			w.HostField = strings.ToLower(w.HostField)
			return rewrite("host_rewrite_header", err)
		case 35:
			return rewrite("host_rewrite_path_regex", f.substitute(&w.HostRegex, &w.HostTemplate))
		case 38:
			return f.bool(&w.Forwarded)
		case 7:
			auto := false
			if err := f.wrappedBool(&auto); err != nil || !auto {
				return err
			}
			return unsupported("auto_host_rewrite")
		case 8:
			return f.in("timeout", func(b []byte) error {
				d, err := decodeSpan(b)
				if d > 0 {
					u.ask().Timeout = d
				}
				return err
			})
		case 9:
			return f.in("retry_policy", u.decodeRetry)
		case 15:
			t := u.ask()
			return f.in("hash_policy["+itoa(len(t.Hash))+"]", func(b []byte) error {
				p, err := decodeHashPolicy(b)
				t.Hash = append(t.Hash, p)
				return err
			})
		case 30:
			t := u.ask()
			return f.in("request_mirror_policies["+itoa(len(t.Mirrors))+"]", func(b []byte) error {
				m, err := decodeMirror(b)
				if m.Share > 0 {
					t.Mirrors = append(t.Mirrors, m)
				}
				return err
			})
		case 36:
			return f.in("max_stream_duration", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num != 1 {
						return nil
					}
					d, err := decodeSpan(f.b)
					if d > 0 {
						u.ask().Stream = d
					}
					return err
				})
			})
		case 2, 37, 39:
			return unsupported("cluster_header and cluster_specifier_plugin (field %d)", f.num)
		case 4, 26, 34, 41:
			return unsupported("metadata_match, internal redirects and path_rewrite_policy (field %d)", f.num)
		}
		return nil
	})
	if err == nil {
		err = checkShares(u.shares)
	}
	if err == nil && rewrites {
		err = checkRewrite(&w)
		u.ask().Rewrite = &w
	}
	return err
}

func checkRewrite(w *filter.Rewrite) error {
	n := 0
	for _, b := range []bool{w.Path.HasPrefix, w.Path.Full != "", w.Path.Regex != nil} {
		if b {
			n++
		}
	}
	if n > 1 {
		return invalid("%d rewrites of the path, want one", n)
	}
	return nil
}

// path reads a path, or the beginning of one.
func (f field) path(to *string) error {
	if err := f.str(to); err != nil {
		return err
	}
	return checkPath(*to)
}

// constant is a format without commands.
func constant(v string) (string, error) {
	f, err := filter.NewFormat(v)
	if err != nil {
		return "", invalid("%v", err)
	}
	text, ok := f.Constant()
	if !ok {
		return "", unsupported("commands in %q", v)
	}
	return text, nil
}

// substitute reads a RegexMatchAndSubstitute: \1 to \9 are groups, \0 is the
// whole match.
func (f field) substitute(re **regexp.Regexp, template *[]byte) error {
	b, err := f.msg()
	if err != nil {
		return err
	}
	var pattern, by string
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("pattern", func(b []byte) error { return decodeRegex(b, &pattern) })
		case 2:
			return f.str(&by)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(pattern) > route.MaxRegex {
		return invalid("an expression of %d bytes, the limit is %d", len(pattern), route.MaxRegex)
	}
	if *re, err = regexp.Compile(pattern); err != nil {
		return invalid("%v", err)
	}
	var out []byte
	for i := 0; i < len(by); i++ {
		switch c := by[i]; {
		case c == '$':
			out = append(out, "$$"...)
		case c != '\\':
			out = append(out, c)
		case i+1 == len(by):
			return invalid("substitution %q ends with a backslash", by)
		default:
			i++
			switch d := by[i]; {
			case d >= '0' && d <= '9':
				if int(d-'0') > (*re).NumSubexp() {
					return invalid("substitution %q names a group that %q does not have", by, pattern)
				}
				out = append(out, '$', '{', d, '}')
			case d == '\\':
				out = append(out, '\\')
			default:
				return invalid("substitution %q", by)
			}
		}
	}
	*template = out
	return checkPath(by)
}

// decodeSpan reads a google.protobuf.Duration of zero or more.
func decodeSpan(b []byte) (time.Duration, error) {
	var sec, nano int64
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			sec = int64(f.u)
		case 2:
			nano = int64(f.u)
		}
		return nil
	})
	if err == nil && (sec < 0 || nano < 0 || nano >= 1e9 || sec > int64(maxSpan/time.Second)) {
		err = invalid("a duration of %d s and %d ns", sec, nano)
	}
	return time.Duration(sec)*time.Second + time.Duration(nano), err
}

// maxSpan keeps arithmetic with durations from overflowing: a century.
const maxSpan = 100 * 366 * 24 * time.Hour

// decodeRedirect reads a RedirectAction.
func (u *rule) decodeRedirect(b []byte) error {
	d := &filter.Redirect{Status: 301}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			if err := f.str(&d.Host); err != nil || d.Host == "" {
				return err
			}
			return at("host_redirect", checkHost(d.Host))
		case 2:
			return at("path_redirect", f.path(&d.Path.Full))
		case 3:
			codes := [...]int{301, 302, 303, 307, 308}
			if f.u >= uint64(len(codes)) {
				return unsupported("response_code %d", f.u)
			}
			d.Status = codes[f.u]
		case 4:
			https := false
			err := f.bool(&https)
			if https {
				d.Scheme = "https"
			}
			return err
		case 5:
			d.Path.HasPrefix = true
			return at("prefix_rewrite", f.path(&d.Path.Prefix))
		case 6:
			return f.bool(&d.StripQuery)
		case 7:
			if err := f.str(&d.Scheme); err != nil {
				return err
			}
			if d.Scheme = strings.ToLower(d.Scheme); d.Scheme != "" && d.Scheme != "http" && d.Scheme != "https" {
				return invalid("scheme_redirect %q: want http or https", d.Scheme)
			}
		case 8:
			if err := f.uint32(&d.Port); err != nil || d.Port > 65535 {
				return at("port_redirect", invalid("%d", d.Port))
			}
		case 9:
			return at("regex_rewrite", f.substitute(&d.Path.Regex, &d.Path.Template))
		}
		return nil
	})
	u.ask().Redirect = d
	return err
}

// decodeMirror reads a RequestMirrorPolicy.
func decodeMirror(b []byte) (route.Mirror, error) {
	m := route.Mirror{Share: route.Million, Suffix: true}
	var change headerChange
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&m.Name)
		case 3:
			return f.in("runtime_fraction", func(b []byte) (err error) {
				m.Share, err = decodeRuntimeFraction(b)
				return err
			})
		case 6:
			off := false
			err := f.bool(&off)
			m.Suffix = !off
			return err
		case 7:
			return f.in("request_headers_mutations", change.mutation)
		case 8:
			if err := f.str(&m.Host); err != nil || m.Host == "" {
				return err
			}
			return at("host_rewrite_literal", checkHost(m.Host))
		case 5:
			return unsupported("cluster_header")
		}
		return nil
	})
	if err == nil && m.Name == "" {
		err = invalid("the cluster is empty")
	}
	if err == nil {
		m.Headers, err = change.compile()
	}
	return m, err
}

// mutation reads a HeaderMutation.
func (c *headerChange) mutation(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return c.removed(f)
		case 2:
			return f.in("append", c.option)
		}
		return unsupported("a mutation (field %d)", f.num)
	})
}

// decodeHashPolicy reads a RouteAction.HashPolicy.
func decodeHashPolicy(b []byte) (p route.HashPolicy, err error) {
	kinds := 0
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			kinds++
			p.Kind = route.HashHeader
			return f.in("header", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						err := f.str(&p.Name)
						p.Name = strings.ToLower(p.Name)
						return err
					case 2:
						return unsupported("regex_rewrite")
					}
					return nil
				})
			})
		case 2:
			kinds++
			p.Kind = route.HashCookie
			return f.in("cookie", readCookie(&p))
		case 3:
			kinds++
			p.Kind = route.HashSource
			return f.in("connection_properties", func(b []byte) error {
				source := false
				err := eachField(b, func(f field) error {
					if f.num == 1 {
						return f.bool(&source)
					}
					return nil
				})
				if err == nil && !source {
					err = unsupported("anything but source_ip")
				}
				return err
			})
		case 5:
			kinds++
			p.Kind = route.HashQuery
			return f.in("query_parameter", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num == 1 {
						return f.str(&p.Name)
					}
					return nil
				})
			})
		case 4:
			return f.bool(&p.Terminal)
		}
		return unsupported("a policy (field %d)", f.num)
	})
	switch {
	case err != nil:
	case kinds != 1:
		err = invalid("%d policies in one, want one", kinds)
	case p.Kind != route.HashSource && p.Name == "":
		err = invalid("the name is empty")
	case p.Kind == route.HashCookie:
		err = checkName(p.Name)
	}
	return p, err
}

// readCookie reads a HashPolicy.Cookie.
func readCookie(p *route.HashPolicy) func([]byte) error {
	text := func(name string, f field, to *string) error {
		if err := f.str(to); err != nil {
			return err
		}
		if strings.ContainsRune(*to, ';') {
			return invalid("%s %q", name, *to)
		}
		return at(name, checkText(*to))
	}
	return func(b []byte) error {
		return eachField(b, func(f field) error {
			switch f.num {
			case 1:
				return f.str(&p.Name)
			case 2:
				// Its presence asks for a cookie; 0 is one of the session.
				p.Generate = true
				return f.in("ttl", func(b []byte) (err error) {
					p.TTL, err = decodeSpan(b)
					return err
				})
			case 3:
				return text("path", f, &p.Path)
			case 4:
				return f.in("attributes", func(b []byte) error {
					var name, value string
					err := eachField(b, func(f field) error {
						switch f.num {
						case 1:
							return text("name", f, &name)
						case 2:
							return text("value", f, &value)
						}
						return nil
					})
					p.Attributes += "; " + name
					if value != "" {
						p.Attributes += "=" + value
					}
					return err
				})
			}
			return nil
		})
	}
}
