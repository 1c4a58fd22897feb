package istio

import (
	"regexp"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/weftmesh/weft/mesh"
)

// ofSubset is where the policy of a subset stands, which takes over what the rule
// says for all.
var ofSubset = regexp.MustCompile(`^spec\.subsets\[[^\]]*\]\.`)

// saidBy is which of several rules for a host says a field, or the innermost
// part of it that any of them says, and where; the most important first.
func saidBy(rules []*rule, field string) (o mesh.Origin, where string) {
	for _, where = range []string{field, ofSubset.ReplaceAllString(field, "spec.")} {
		if r := firstWith(rules, strings.Split(where, ".")); r != nil {
			return r.origin(), where
		}
	}
	for path := strings.Split(field, "."); len(path) > 1; path = path[:len(path)-1] {
		if r := firstWith(rules, path); r != nil {
			return r.origin(), field
		}
	}
	return rules[0].origin(), field
}

// firstWith is the first rule that has a path below its spec.
func firstWith(rules []*rule, path []string) *rule {
	for _, r := range rules {
		if says(r.item.Obj.Spec.ProtoReflect(), path[1:]) {
			return r
		}
	}
	return nil
}

// says finds a path such as trafficPolicy, portLevelSettings[0], tls; subsets
// are found by name too.
func says(m protoreflect.Message, path []string) bool {
	for i, step := range path {
		name, index, listed := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		fd := m.Descriptor().Fields().ByJSONName(name)
		if fd == nil || !m.Has(fd) {
			return false
		}
		v := m.Get(fd)
		if listed {
			if !fd.IsList() || fd.Message() == nil {
				return false
			}
			if v = element(v.List(), index); !v.IsValid() {
				return false
			}
		}
		if i == len(path)-1 {
			return true
		}
		if fd.Message() == nil || fd.IsMap() || fd.IsList() != listed {
			return false
		}
		m = v.Message()
	}
	return true
}

// element is that of a list which an index means, or a name.
func element(l protoreflect.List, index string) protoreflect.Value {
	n, err := strconv.Atoi(index)
	for i := range l.Len() {
		m := l.Get(i).Message()
		name := m.Descriptor().Fields().ByName("name")
		if err == nil && i == n || err != nil && name != nil && m.Get(name).String() == index {
			return l.Get(i)
		}
	}
	return protoreflect.Value{}
}
