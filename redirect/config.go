package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ErrConfig is wrapped by every complaint about a Config or a flag.
var ErrConfig = errors.New("bad configuration")

// The defaults of a Config.
const (
	DefaultOutboundPort = 4140
	DefaultInboundPort  = 4143
	DefaultProxyUID     = 2102
)

// proxyPorts are the proxy's own: outbound, inbound, tap, admin, health, stats.
// They are never redirected, whatever a Config says.
var proxyPorts = []uint16{4140, 4143, 4190, 4191, 15021, 15090}

// PortRange is First to Last, both included. The zero value is every port.
type PortRange struct{ First, Last uint16 }

func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// Config says what is redirected where.
type Config struct {
	// OutboundPort and InboundPort are where the proxy listens.
	OutboundPort, InboundPort uint16
	// ProxyUID is the user whose own connections go out unredirected.
	ProxyUID uint32
	// SkipOutboundPorts and SkipInboundPorts are destination ports left alone.
	SkipOutboundPorts, SkipInboundPorts []PortRange
	// SkipSubnets are destinations of outgoing connections left alone.
	SkipSubnets []netip.Prefix
	// IPv6 says that IPv6 is redirected too.
	IPv6 bool
}

// Validate names every fault of the configuration.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if c.OutboundPort == 0 {
		bad("outbound port is 0: give the port on which the proxy listens for outgoing connections")
	}
	if c.InboundPort == 0 {
		bad("inbound port is 0: give the port on which the proxy listens for incoming connections")
	}
	if c.InboundPort == c.OutboundPort && c.InboundPort != 0 {
		bad("inbound and outbound port are both %d: they must differ", c.InboundPort)
	}
	if c.ProxyUID == 0 {
		bad("proxy uid is 0: everything that runs as root would bypass the proxy; run it as a user of its own")
	}
	for _, l := range [][]PortRange{c.SkipInboundPorts, c.SkipOutboundPorts} {
		for _, r := range l {
			if r.First == 0 || r.First > r.Last {
				bad("port range %s: ports are 1 to 65535, the smaller one first", r)
			}
		}
	}
	for _, p := range c.SkipSubnets {
		if !p.IsValid() || p.Addr().Zone() != "" || p.Addr().Is4In6() {
			bad("subnet %s: write it as 10.0.0.0/8 or fd00::/8", p)
		}
	}
	return errors.Join(errs...)
}

// ParsePorts reads a comma list of ports and ranges, such as "25,8000-8010".
func ParsePorts(s string) ([]PortRange, error) {
	var out []PortRange
	for _, f := range list(s) {
		first, last, ranged := strings.Cut(f, "-")
		if !ranged {
			last = first
		}
		a, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		b, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		if err1 != nil || err2 != nil || a == 0 || a > b {
			return nil, fmt.Errorf("%w: %q is no port or range of ports: write 25 or 8000-8010", ErrConfig, f)
		}
		out = append(out, PortRange{uint16(a), uint16(b)})
	}
	return out, nil
}

// ParseSubnets reads a comma list of prefixes; an address is a prefix of itself.
func ParseSubnets(s string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, f := range list(s) {
		p, err := netip.ParsePrefix(f)
		if a, aerr := netip.ParseAddr(f); aerr == nil {
			p, err = a.Prefix(a.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %q is no subnet: write 10.0.0.0/8 or fd00::/8", ErrConfig, f)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func list(s string) []string {
	var out []string
	for f := range strings.SplitSeq(s, ",") {
		if f = strings.TrimSpace(f); f != "" {
			out = append(out, f)
		}
	}
	return out
}
