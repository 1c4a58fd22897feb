package config

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Names of the listeners and the secret that every proxy has.
const (
	virtualInbound  = "virtualInbound"
	virtualOutbound = "virtualOutbound"
	rootCA          = "ROOTCA"
)

// readListener decodes a listener and finds out what its chains come to.
func readListener(name string, b []byte) (*listener, error) {
	l, err := decodeListener(b)
	if err != nil {
		return nil, err
	}
	if l.name != name {
		return nil, invalid("name: the listener calls itself %q", l.name)
	}
	switch name {
	case virtualInbound:
		l.inbound, err = inboundPolicy(l)
	case virtualOutbound:
		l.fate, err = outboundFate(l)
	case siblings:
		// It is a list, and no place to connect to.
	default:
		if strings.HasPrefix(name, namesPrefix) {
			err = l.names()
		} else {
			err = l.destination()
		}
	}
	return l, err
}

// outboundFate reads virtualOutbound: a TCP proxy to one of two clusters.
func outboundFate(l *listener) (Fate, error) {
	if len(l.chains) == 0 && l.def != nil && !l.def.conditional() && l.def.tcp != nil && len(l.def.tcp.shares) == 1 {
		switch l.def.tcp.shares[0].cluster {
		case upstream.PassthroughCluster:
			return AllowAny, nil
		case upstream.BlackHoleCluster:
			return RegistryOnly, nil
		}
	}
	return RegistryOnly, invalid("default_filter_chain: want a tcp_proxy to %s or %s",
		upstream.PassthroughCluster, upstream.BlackHoleCluster)
}

// destination settles a listener for a destination: HTTP, TCP, or both with
// the first bytes deciding.
func (l *listener) destination() error {
	for i := range l.chains {
		if l.chains[i].tls {
			return invalid("filter_chains[%d]: a transport socket for a destination", i)
		}
	}
	switch {
	case l.def == nil && len(l.chains) == 0 && l.api != nil:
		l.protocol, l.http = HTTP, l.api
	case l.def == nil:
		return invalid("default_filter_chain is missing")
	case l.def.tls || l.def.conditional():
		return invalid("default_filter_chain: a condition or a transport socket")
	case l.def.http != nil:
		l.protocol, l.http = HTTP, l.def.http
		if len(l.chains) > 0 {
			return unsupported("filter_chains beside a default_filter_chain with HTTP")
		}
	default:
		return l.connections()
	}
	return nil
}

// connections settles a listener whose other connections are bytes.
func (l *listener) connections() error {
	l.protocol, l.tcp = TCP, l.def.tcp
	rules := 0
	for i := range l.chains {
		c := &l.chains[i]
		switch {
		case c.detects() && l.http == nil:
			l.protocol, l.http = Detect, c.http
			continue
		case c.tcp == nil, c.port != 0, c.alpn != nil, c.transport != "" && c.transport != tlsProto, !c.conditional():
			return unsupported("filter_chains[%d]: want one for application protocols http/1.1 and h2c with HTTP, and others for server_names or prefix_ranges with tcp_proxy", i)
		}
		if rules += max(len(c.names), 1) * max(len(c.subnets), 1); rules > maxSpecial {
			return unsupported("filter_chains: more than %d server_names and prefix_ranges", maxSpecial)
		}
		l.special = append(l.special, *c)
	}
	return nil
}

// maxSpecial bounds what a connection is compared with.
const maxSpecial = 4096

// conditional says whether a chain has a condition at all.
func (c *chain) conditional() bool {
	return c.port != 0 || c.transport != "" || c.alpn != nil || c.names != nil || c.subnets != nil
}

// detects says whether a chain is for what turns out to be HTTP.
func (c *chain) detects() bool {
	return c.isHTTPDetection() && c.http != nil && c.port == 0 && c.names == nil && c.subnets == nil && (c.transport == "" || c.transport == rawBuffer)
}

const (
	rawBuffer = "raw_buffer"
	tlsProto  = "tls"
)

// portChains is which of the five kinds of chain a port has.
type portChains struct{ mutualHTTP, mutualTCP, plainHTTP, plainDetect, plainTCP bool }

// inboundPolicy reads virtualInbound. Every chain must be one of those that
// docs/xds.md names, and the chains of a port must add up to a policy: what
// cannot be understood accepts nothing.
func inboundPolicy(l *listener) (*policy.Inbound, error) {
	if l.def != nil {
		return nil, unsupported("default_filter_chain of %s", virtualInbound)
	}
	ports := map[uint32]*portChains{}
	for i := range l.chains {
		c := &l.chains[i]
		p := ports[c.port]
		if p == nil {
			p = &portChains{}
			ports[c.port] = p
		}
		if err := p.add(c); err != nil {
			return nil, at("filter_chains["+itoa(i)+"]", err)
		}
	}
	in := &policy.Inbound{Ports: map[uint16]policy.Port{}}
	for n, p := range ports {
		q, err := p.policy()
		if err != nil {
			return nil, at("filter_chains of destination_port "+itoa(int(n)), err)
		}
		if n == 0 {
			in.Default = q
		} else {
			in.Ports[uint16(n)] = q
		}
	}
	for _, text := range l.applications {
		number, address, _ := strings.Cut(text, "=")
		n, err := strconv.ParseUint(number, 10, 16)
		a, err2 := netip.ParseAddrPort(address)
		if err != nil || err2 != nil || a.Port() == 0 || !a.Addr().IsLoopback() && !a.Addr().IsUnspecified() {
			return nil, invalid("metadata: weft.applications: %q: want a port and an address of the workload, such as 80=127.0.0.1:8080", text)
		}
		if in.Applications == nil {
			in.Applications = map[uint16]netip.AddrPort{}
		}
		in.Applications[uint16(n)] = a
	}
	return in, nil
}

func (p *portChains) add(c *chain) error {
	if err := c.toApplication(); err != nil {
		return err
	}
	if c.names != nil || c.subnets != nil {
		return unsupported("filter_chain_match with server_names or prefix_ranges")
	}
	mutual := c.transport == tlsProto && len(c.alpn) > 0
	for _, a := range c.alpn {
		mutual = mutual && strings.HasPrefix(a, "weft-")
	}
	switch {
	case mutual != c.tls:
		return invalid("mesh TLS and its transport socket must come together")
	case mutual && len(c.alpn) == 1 && c.alpn[0] == alpn.TCP && c.tcp != nil:
		p.mutualTCP = true
	case mutual && c.http != nil:
		p.mutualHTTP = true
	case c.transport == rawBuffer && c.isHTTPDetection() && c.http != nil:
		p.plainDetect = true
	case c.transport == rawBuffer && len(c.alpn) == 0 && c.http != nil:
		p.plainHTTP = true
	case c.transport == "" && len(c.alpn) == 0 && c.tcp != nil:
		p.plainTCP = true
	default:
		return unsupported("this combination of transport_protocol %q, application_protocols %q and filter", c.transport, c.alpn)
	}
	return nil
}

// toApplication demands that a chain leads to the application unconditionally:
// conditions here would have to be honoured.
func (c *chain) toApplication() error {
	if c.tcp != nil {
		if len(c.tcp.shares) != 1 || !strings.HasPrefix(c.tcp.shares[0].cluster, "inbound|") {
			return unsupported("tcp_proxy to anything but one inbound cluster")
		}
		return nil
	}
	r := c.http.inline
	if r == nil || len(r.rules) != 1 {
		return unsupported("inbound routes other than one inline route")
	}
	u := &r.rules[0]
	if !u.match.Plain() || u.traffic != nil || !u.headers.Request.IsZero() || !u.headers.Response.IsZero() {
		return unsupported("an inbound route with conditions or changes")
	}
	if len(u.shares) != 1 || !strings.HasPrefix(u.shares[0].cluster, "inbound|") {
		return unsupported("an inbound route to anything but one inbound cluster")
	}
	return nil
}

func (p *portChains) policy() (policy.Port, error) {
	var q policy.Port
	if !p.mutualTCP {
		return q, invalid("no chain for application protocol %s", alpn.TCP)
	}
	plain := p.plainHTTP || p.plainDetect
	q.Mode = policy.Strict
	if p.plainTCP {
		q.Mode = policy.Permissive
	}
	switch {
	case plain && !p.plainTCP:
		return q, invalid("plaintext HTTP is accepted but plaintext is not")
	case plain != (p.plainTCP && p.mutualHTTP) || p.plainHTTP && p.plainDetect:
		return q, invalid("the chains for HTTP contradict each other")
	case !p.mutualHTTP:
		q.Protocol = policy.Opaque
	case p.plainHTTP:
		q.Protocol = policy.HTTP
	}
	return q, nil
}
