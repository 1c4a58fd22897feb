package gatewayapi

import (
	"regexp"
	"slices"
	"strings"
	"time"

	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/internal/apifield"
	"github.com/weftmesh/weft/mesh"
)

// defaultMaxAge of a preflight's answer, in seconds (HTTPCORSFilter.maxAge).
const defaultMaxAge = 5

func (f *filters) cors(in *gwv1.HTTPCORSFilter, w string) *mesh.CORS {
	out := &mesh.CORS{Origin: f.j.o.origin.At(w)}
	for i, o := range in.AllowOrigins {
		m, ok := origin(string(o))
		if !ok {
			f.unsupported(at("%s.allowOrigins[%d]", w, i), at("%q is not an origin", o), "write it as scheme://host, or *")
			continue
		}
		out.Origins = append(out.Origins, m)
	}
	for _, m := range in.AllowMethods {
		out.Methods = append(out.Methods, string(m))
	}
	out.Headers, out.Expose = names(in.AllowHeaders), names(in.ExposeHeaders)
	for _, list := range []struct {
		field string
		names []string
	}{{"allowMethods", out.Methods}, {"allowHeaders", out.Headers}, {"exposeHeaders", out.Expose}} {
		for i, name := range list.names {
			if !apifield.Token(name) {
				f.unsupported(at("%s.%s[%d]", w, list.field, i), at("%q is not a name in HTTP", name), "correct it")
			}
		}
	}
	if in.AllowCredentials != nil && *in.AllowCredentials {
		yes := true
		out.Credentials = &yes
		// With credentials a * would be read as a name (HTTPCORSFilter.exposeHeaders).
		out.Expose = slices.DeleteFunc(out.Expose, func(n string) bool { return n == "*" })
	}
	age := in.MaxAge
	if age == 0 {
		age = defaultMaxAge
	}
	if age < 0 {
		f.unsupported(w+".maxAge", at("%d is negative", age), "correct the number")
		age = defaultMaxAge
	}
	out.MaxAge = mesh.After(time.Duration(age) * time.Second)
	return out
}

func names(list []gwv1.HTTPHeaderName) []string {
	var out []string
	for _, n := range list {
		out = append(out, string(n))
	}
	return out
}

// origin makes the comparison with an origin, in which browsers never write the
// port of the scheme. A * stands for any labels.
func origin(o string) (mesh.ValueMatch, bool) {
	if o == "*" {
		return mesh.ValueMatch{Kind: mesh.Present}, true
	}
	scheme, host, ok := strings.Cut(o, "://")
	if !ok || host == "" || scheme != "http" && scheme != "https" || strings.ContainsAny(host, "/ \t\r\n\x00@?#") {
		return mesh.ValueMatch{}, false
	}
	def := ":80"
	if scheme == "https" {
		def = ":443"
	}
	host = strings.TrimSuffix(host, def)
	if !strings.Contains(host, "*") {
		return mesh.ValueMatch{Kind: mesh.Exact, Value: scheme + "://" + host, IgnoreCase: true}, true
	}
	name, port, ported := strings.Cut(host, ":")
	expression := scheme + "://" + strings.ReplaceAll(regexp.QuoteMeta(name), `\*`, `[^/:]+`)
	if ported {
		expression += ":" + regexp.QuoteMeta(port)
	}
	return mesh.ValueMatch{Kind: mesh.Regex, Value: "(?i)" + expression}, true
}
