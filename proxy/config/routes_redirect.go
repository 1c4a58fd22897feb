package config

import (
	"strings"

	"github.com/weftmesh/weft/proxy/filter"
)

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
