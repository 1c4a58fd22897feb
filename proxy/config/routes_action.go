package config

import (
	"strings"

	"github.com/weftmesh/weft/proxy/filter"
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
