package config

import (
	"strconv"
	"strings"

	"github.com/weftmesh/weft/proxy/route"
)

// namesPrefix begins the name of the listener that lists the names by which
// destinations without an address are known at a port (docs/xds.md).
const namesPrefix = "*_"

// NamesListener is the name of that listener.
func NamesListener(port uint16) string { return namesPrefix + strconv.Itoa(int(port)) }

// hosts is what such a listener's metadata says.
type hosts struct{ http, tls []string }

func readHosts(meta map[string]string) hosts {
	return hosts{strings.Fields(meta["http_hosts"]), strings.Fields(meta["tls_hosts"])}
}

// names settles a listener that is a list of names.
func (l *listener) names() error {
	port, err := strconv.ParseUint(strings.TrimPrefix(l.name, namesPrefix), 10, 16)
	switch {
	case err != nil || port == 0:
		return invalid("name: %q has no port", l.name)
	case l.def != nil || len(l.chains) > 0 || l.api != nil:
		return unsupported("chains of a list of names")
	case len(l.hosts.http)+len(l.hosts.tls) == 0:
		return invalid("metadata: want weft.http_hosts or weft.tls_hosts")
	}
	for _, h := range append(append([]string(nil), l.hosts.http...), l.hosts.tls...) {
		if rest := strings.TrimPrefix(h, "*"); rest == "" || len(h) > 255 || strings.ContainsAny(rest, "*/:") {
			return invalid("metadata: %q: want a name, or the end of one behind a star", h)
		}
	}
	l.protocol = Named
	l.byName = &route.ByName{HTTP: route.NewNames(l.hosts.http, uint16(port)), TLS: route.NewNames(l.hosts.tls, uint16(port))}
	return nil
}
