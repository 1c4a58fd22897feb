package config

import (
	"strings"

	"github.com/weftmesh/weft/proxy/filter"
)

// headerChange gathers one side's *_headers_to_add and *_headers_to_remove.
type headerChange struct {
	changes []filter.Change
	remove  []string
}

func (c *headerChange) compile() (filter.HeaderOps, error) {
	return filter.CompileHeaderOps(c.changes, c.remove)
}

// step compiles both sides.
func step(req, resp *headerChange) (s filter.Step, err error) {
	if s.Request, err = req.compile(); err != nil {
		return s, at("request_headers_to_add", err)
	}
	s.Response, err = resp.compile()
	return s, at("response_headers_to_add", err)
}

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
	var h filter.Change
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
	if h.Name == ":authority" {
		h.Name = "host"
	}
	if err := checkName(h.Name); err != nil {
		return err
	}
	if h.Value == "" && !keepEmpty {
		return nil
	}
	switch {
	case action > uint32(filter.OverwriteIfExists):
		return unsupported("append_action %d of %s", action, h.Name)
	case action == 0 && !appends:
		h.Action = filter.Overwrite
	default:
		h.Action = filter.Action(action)
	}
	if strings.EqualFold(h.Name, "host") && h.Action < filter.Overwrite {
		return unsupported("to append to host")
	}
	if _, err := filter.NewFormat(h.Value); err != nil {
		return at(h.Name, invalid("%v", err))
	}
	c.changes = append(c.changes, h)
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

// checkHost accepts what can stand in an authority: nothing that could end it.
func checkHost(h string) error {
	if h == "" {
		return invalid("the host is empty")
	}
	for i := 0; i < len(h); i++ {
		c := h[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`/?#@\"<>^{|}`+"`", c) >= 0 {
			return invalid("host %q", h)
		}
	}
	return nil
}

// checkPath accepts the bytes of a request target, without checking its syntax.
func checkPath(p string) error {
	for i := 0; i < len(p); i++ {
		if c := p[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return invalid("path %q", p)
		}
	}
	return nil
}

// checkText accepts a field's value.
func checkText(v string) error {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return invalid("a value with control characters")
		}
	}
	return nil
}
