package core

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

// OpaquePortsAnnotation lists ports that are opaque bytes: on a Namespace, a
// Service or a Pod; the nearest replaces the others and Linkerd's default.
const OpaquePortsAnnotation = "config.linkerd.io/opaque-ports"

// portSet is a set of port ranges and port names.
type portSet struct {
	ranges [][2]uint16
	names  []string
	// beside says that Linkerd's default opaque ports hold too.
	beside bool
}

func newPortSet(ports ...uint16) *portSet {
	s := &portSet{}
	for _, p := range ports {
		s.ranges = append(s.ranges, [2]uint16{p, p})
	}
	return s
}

func (s *portSet) has(number uint16, name string) bool {
	for _, r := range s.ranges {
		if r[0] <= number && number <= r[1] {
			return true
		}
	}
	return name != "" && slices.Contains(s.names, name)
}

// and adds the ports of a profile; either may be nil. Without an annotation
// Linkerd's default stays.
func (s *portSet) and(o *portSet) *portSet {
	switch {
	case o == nil:
		return s
	case s == nil:
		return &portSet{o.ranges, o.names, true}
	}
	return &portSet{slices.Concat(s.ranges, o.ranges), slices.Concat(s.names, o.names), false}
}

// profiled are the opaque ports of the ServiceProfile in the service's own
// namespace, or nil.
func (t *translator) profiled(s *mesh.Service) *portSet {
	p, ok := t.w.ServiceProfiles[mesh.Ref{Namespace: s.Namespace, Name: s.Host}]
	if !ok || len(p.Obj.Spec.OpaquePorts) == 0 {
		return nil
	}
	set, _ := parsePorts(strings.Join(p.Obj.Spec.OpaquePorts, ","))
	return set
}

// parsePorts reads "3306,4000-4010,db"; bad entries are left out and returned.
func parsePorts(v string) (set *portSet, bad []string) {
	set = &portSet{}
	for _, e := range strings.Split(v, ",") {
		e = strings.TrimSpace(e)
		if e == "" {
			continue
		}
		from, to, ranged := strings.Cut(e, "-")
		a, errA := parsePort(from)
		b := a
		var errB error
		if ranged {
			b, errB = parsePort(to)
		}
		switch {
		case errA == nil && errB == nil && a <= b:
			set.ranges = append(set.ranges, [2]uint16{a, b})
		case isPortName(e):
			set.names = append(set.names, e)
		default:
			bad = append(bad, e)
		}
	}
	return set, bad
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// isPortName follows IANA service names (RFC 6335, section 5.1): at least one letter.
func isPortName(s string) bool {
	letter := false
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z':
			letter = true
		case r >= '0' && r <= '9', r == '-':
		default:
			return false
		}
	}
	return letter && len(s) <= 63
}

// opaqueOf returns the ports that the nearest annotation lists, or nil where
// there is none.
func (t *translator) opaqueOf(annotations map[string]string, origin mesh.Origin, namespace string) *portSet {
	if v, ok := annotations[OpaquePortsAnnotation]; ok {
		return t.parseOpaque(v, origin)
	}
	if set, done := t.nsOpaque[namespace]; done {
		return set
	}
	var set *portSet
	if ns, ok := t.w.Namespaces[mesh.Ref{Name: namespace}]; ok {
		if v, ok := ns.Obj.Annotations[OpaquePortsAnnotation]; ok {
			set = t.parseOpaque(v, ns.Origin)
		}
	}
	t.nsOpaque[namespace] = set
	return set
}

func (t *translator) parseOpaque(v string, origin mesh.Origin) *portSet {
	set, bad := parsePorts(v)
	for _, b := range bad {
		t.problem(problem.New(problem.BadOpaquePorts, origin, "metadata.annotations["+OpaquePortsAnnotation+"]",
			field("%q is no port, range or port name; it is ignored", b), "write ports such as 3306,4000-4010"))
	}
	return set
}
