package config

import (
	"strings"

	"github.com/weftmesh/weft/proxy/route"
)

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
