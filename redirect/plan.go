package redirect

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Family is a network protocol.
type Family uint8

const (
	// IPv4 is IP version 4.
	IPv4 Family = 4
	// IPv6 is IP version 6.
	IPv6 Family = 6
)

func (f Family) String() string {
	if f == IPv6 {
		return "ip6"
	}
	return "ip"
}

// Hook is where in the kernel a rule is asked.
type Hook uint8

const (
	// Prerouting sees what comes into the namespace.
	Prerouting Hook = iota
	// Output sees what its own processes send.
	Output
)

func (h Hook) String() string {
	if h == Output {
		return "output"
	}
	return "prerouting"
}

// Rule speaks of TCP connections. All of its conditions must hold; the first
// rule of a family and hook that holds decides.
type Rule struct {
	Family Family
	Hook   Hook

	// The conditions; the zero value of each is no condition.
	UID         UID
	OutputIface string
	Destination netip.Prefix
	Ports       PortRange // destination ports

	// Redirect is the local port that gets the connection; 0 leaves it alone.
	Redirect uint16
}

// UID is a condition on the sender's user.
type UID struct {
	Set bool
	ID  uint32
}

func (r Rule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s tcp", r.Family, r.Hook)
	if r.UID.Set {
		fmt.Fprintf(&b, " uid %d", r.UID.ID)
	}
	if r.OutputIface != "" {
		fmt.Fprintf(&b, " out %s", r.OutputIface)
	}
	if r.Destination.IsValid() {
		fmt.Fprintf(&b, " to %s", r.Destination)
	}
	if r.Ports != (PortRange{}) {
		fmt.Fprintf(&b, " port %s", r.Ports)
	}
	if r.Redirect == 0 {
		b.WriteString(" -> as it is")
	} else {
		fmt.Fprintf(&b, " -> proxy port %d", r.Redirect)
	}
	return b.String()
}

// Plan is the complete rule set of a namespace.
type Plan struct{ Rules []Rule }

// Equal tells whether two plans do the same in the same order.
func (p Plan) Equal(o Plan) bool { return slices.Equal(p.Rules, o.Rules) }

// String prints a rule a line.
func (p Plan) String() string {
	var b strings.Builder
	for _, r := range p.Rules {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// chain returns the rules of one family and hook.
func (p Plan) chain(f Family, h Hook) []Rule {
	var out []Rule
	for _, r := range p.Rules {
		if r.Family == f && r.Hook == h {
			out = append(out, r)
		}
	}
	return out
}

var loopback = map[Family]netip.Prefix{
	IPv4: netip.MustParsePrefix("127.0.0.0/8"),
	IPv6: netip.MustParsePrefix("::1/128"),
}

// NewPlan makes the rule set of a valid configuration.
func NewPlan(c Config) (Plan, error) {
	if err := c.Validate(); err != nil {
		return Plan{}, err
	}
	families := []Family{IPv4}
	if c.IPv6 {
		families = append(families, IPv6)
	}
	var p Plan
	for _, f := range families {
		p.Rules = append(p.Rules, output(c, f)...)
		p.Rules = append(p.Rules, prerouting(c, f)...)
	}
	return p, nil
}

func output(c Config, f Family) []Rule {
	at := Rule{Family: f, Hook: Output}
	own, lo, local := at, at, at
	own.UID = UID{true, c.ProxyUID} // or the proxy would talk to itself
	lo.OutputIface = "lo"           // includes the pod's own addresses
	local.Destination = loopback[f]
	rules := []Rule{own, lo, local}
	for _, ports := range ranges(c.SkipOutboundPorts) {
		r := at
		r.Ports = ports
		rules = append(rules, r)
	}
	for _, s := range c.SkipSubnets {
		if s.Addr().Is4() == (f == IPv4) {
			r := at
			r.Destination = s.Masked()
			rules = append(rules, r)
		}
	}
	at.Redirect = c.OutboundPort
	return append(rules, at)
}

func prerouting(c Config, f Family) []Rule {
	at := Rule{Family: f, Hook: Prerouting}
	skip := slices.Clone(c.SkipInboundPorts)
	for _, p := range append([]uint16{c.InboundPort, c.OutboundPort}, proxyPorts...) {
		skip = append(skip, PortRange{p, p})
	}
	var rules []Rule
	for _, ports := range ranges(skip) {
		r := at
		r.Ports = ports
		rules = append(rules, r)
	}
	at.Redirect = c.InboundPort
	return append(rules, at)
}

// ranges sorts and joins, so that equal intentions are equal plans.
func ranges(in []PortRange) []PortRange {
	s := slices.Clone(in)
	slices.SortFunc(s, func(a, b PortRange) int { return int(a.First) - int(b.First) })
	var out []PortRange
	for _, r := range s {
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}
