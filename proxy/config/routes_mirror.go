package config

import (
	"github.com/weftmesh/weft/proxy/route"
)

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
