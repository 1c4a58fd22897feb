package istio

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// shared keeps what VirtualServices come to on a port of some number. It is the
// same for every host of a pattern and for every namespace, as long as nothing
// in it depends on the host, and is made once then. What is shared is not
// written to.
type shared struct {
	rules  map[ruleKey][]httpRule
	routes map[listKey]*together
	tcp    map[listKey][]mesh.TCPRule
	// retry is that of routes that say nothing of it.
	retry *mesh.Retry
	// numbers are those of VirtualServices within keys.
	numbers map[*virtual]uint64
	hosts   map[*virtual]hostSet
	// own is set when something is found that does depend on the host.
	own bool
	// made counts the HTTP rules that were made, for tests.
	made int
}

type ruleKey struct {
	v    *virtual
	port uint16
}

// listKey is of several VirtualServices.
type listKey struct {
	list string
	port uint16
}

func newShared() shared {
	return shared{rules: map[ruleKey][]httpRule{}, routes: map[listKey]*together{}, tcp: map[listKey][]mesh.TCPRule{}, numbers: map[*virtual]uint64{}, hosts: map[*virtual]hostSet{}, retry: defaultRetry()}
}

func (m *shared) key(list []*virtual, port uint16) listKey {
	var k []byte
	for _, v := range list {
		n, known := m.numbers[v]
		if !known {
			n = uint64(len(m.numbers))
			m.numbers[v] = n
		}
		k = binary.AppendUvarint(k, n)
	}
	return listKey{string(k), port}
}

// together are the rules of VirtualServices that choose where requests go, the
// oldest object's first.
type together struct {
	rules   []mesh.Rule
	origins []mesh.Origin
	// last is the object whose rule takes what no other takes; late are the rules
	// that would too, and are not in effect.
	last *virtual
	late []late
}

type late struct {
	origin mesh.Origin
	field  string
}

// rulesOf are those of rules; same says that they are so for every host.
func (t *translator) rulesOf(v *virtual, s *mesh.Service, port *mesh.Port) (out []httpRule, same bool) {
	if !port.Protocol.MayBeHTTP() {
		return nil, true
	}
	k := ruleKey{v, port.Number}
	if out, same = t.shared.rules[k]; same {
		return out, true
	}
	t.shared.own = false
	out = t.rules(v, s, port)
	t.shared.made += len(out)
	if same = !t.shared.own; same {
		t.shared.rules[k] = out
	}
	return out, same
}

// together concatenates the rules of VirtualServices. Of those that take every
// request only the first is in effect, at the end.
func (t *translator) together(list []*virtual, rules [][]httpRule, port uint16, same bool) *together {
	var k listKey
	if same {
		k = t.shared.key(list, port)
		if out := t.shared.routes[k]; out != nil {
			return out
		}
	}
	out := &together{}
	var last *mesh.Rule
	for n, v := range list {
		if len(rules[n]) > 0 {
			out.origins = append(out.origins, v.origin())
		}
		for i := range rules[n] {
			r := &rules[n][i]
			if !r.rule.IsAll() {
				out.rules = append(out.rules, r.rule)
				continue
			}
			if last == nil {
				last, out.last = &r.rule, v
			} else {
				out.late = append(out.late, late{r.origin, r.field})
			}
			break // nothing behind it is ever reached
		}
	}
	if last != nil {
		out.rules = append(out.rules, *last)
	}
	out.rules = slices.Clip(out.rules)
	if same {
		t.shared.routes[k] = out
	}
	return out
}

// connections are the rules of tcpRules.
func (t *translator) connections(s *mesh.Service, port *mesh.Port, list []*virtual) []mesh.TCPRule {
	if port.Protocol.IsHTTP() {
		return nil
	}
	k := t.shared.key(list, port.Number)
	if out, known := t.shared.tcp[k]; known {
		return out
	}
	t.shared.own = false
	out := t.tcpRules(s, port, list)
	if !t.shared.own {
		t.shared.tcp[k] = out
	}
	return out
}

// hostSet are the hosts of a VirtualService, as written and in full, and what
// those of its patterns end with.
type hostSet struct{ names, suffixes map[string]bool }

func (t *translator) hostsOf(v *virtual) hostSet {
	set, known := t.shared.hosts[v]
	if known {
		return set
	}
	set = hostSet{map[string]bool{}, map[string]bool{}}
	for _, h := range v.item.Obj.Spec.Hosts {
		for _, name := range []string{h, t.hosts.name(h, v.item.Obj.Namespace)} {
			if suffix, pattern := strings.CutPrefix(name, "*"); pattern {
				set.suffixes[suffix] = true
			} else {
				set.names[name] = true
			}
		}
	}
	t.shared.hosts[v] = set
	return set
}

// cover says whether one of the hosts covers a name (mesh.HostCovers).
func (s hostSet) cover(name string) bool {
	end := strings.TrimPrefix(name, "*")
	for i := range len(end) + 1 {
		if s.suffixes[end[i:]] {
			return true
		}
	}
	return s.names[name]
}
