package istio

import (
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weftmesh/weft/mesh"
)

// Elements of lists stand at another index in each of several rules. In paths
// from the spec they are told by what they are for: a subset by its name, the
// settings of a port by its number.
func subsetPath(name string) string { return at("spec.subsets[=%x]", name) }

func portPath(policy string, port uint32) string {
	return at("%s.portLevelSettings[:%d]", policy, port)
}

// ofSubset is where the policy of a subset stands, which takes over what the rule
// says for all.
var ofSubset = regexp.MustCompile(`^spec\.subsets\[[^\]]*\]\.`)

// saidBy is which of several rules for a host says a field, or the innermost
// part of it that any of them says, and where; the most important first.
func saidBy(rules []*rule, field string) (o mesh.Origin, where string) {
	for _, path := range []string{field, ofSubset.ReplaceAllString(field, "spec.")} {
		for _, r := range rules {
			if _, where, ok := r.find(path); ok {
				return r.origin(), where
			}
		}
	}
	for path := strings.Split(field, "."); len(path) > 1; path = path[:len(path)-1] {
		for _, r := range rules {
			if _, where, ok := r.find(strings.Join(path, ".")); ok {
				return r.origin(), where + strings.TrimPrefix(field, strings.Join(path, "."))
			}
		}
	}
	return rules[0].origin(), "spec"
}

// saidWith is saidBy for the rule whose value it is, if any.
func saidWith(rules []*rule, field string, value protoreflect.Value) (mesh.Origin, string) {
	for _, r := range rules {
		if v, where, ok := r.find(field); ok && v.Equal(value) {
			return r.origin(), where
		}
	}
	return saidBy(rules, field)
}

// find looks a path such as spec.trafficPolicy.portLevelSettings[:80].tls up, and
// says where that stands in this rule.
func (r *rule) find(path string) (v protoreflect.Value, where string, ok bool) {
	m := r.item.Obj.Spec.ProtoReflect()
	steps := strings.Split(path, ".")[1:]
	where = "spec"
	for i, step := range steps {
		name, which, listed := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		fd := m.Descriptor().Fields().ByJSONName(name)
		if fd == nil || !m.Has(fd) {
			return v, "", false
		}
		v, where = m.Get(fd), where+"."+name
		if listed {
			n := -1
			if fd.IsList() && fd.Message() != nil {
				n = indexOf(v.List(), which)
			}
			if n < 0 {
				return v, "", false
			}
			v, where = v.List().Get(n), at("%s[%d]", where, n)
		}
		if i == len(steps)-1 {
			return v, where, true
		}
		if fd.Message() == nil || fd.IsMap() || fd.IsList() != listed {
			return v, "", false
		}
		m = v.Message()
	}
	return v, where, false
}

// indexOf finds an element of a list by its name, by its port or by its index; -1
// where there is none.
func indexOf(l protoreflect.List, which string) int {
	for i := range l.Len() {
		m := l.Get(i).Message()
		fields := m.Descriptor().Fields()
		same := strconv.Itoa(i) == which
		switch {
		case strings.HasPrefix(which, "="):
			fd := fields.ByName("name")
			same = fd != nil && at("=%x", m.Get(fd).String()) == which
		case strings.HasPrefix(which, ":"):
			fd := fields.ByName("port")
			if same = fd != nil && m.Has(fd); same {
				p := m.Get(fd).Message()
				same = at(":%d", p.Get(p.Descriptor().Fields().ByName("number")).Uint()) == which
			}
		}
		if same {
			return i
		}
	}
	return -1
}
