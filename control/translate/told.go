package translate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// told keeps what is found of one service port for the clients of several
// namespaces to one problem. Its zero value has nothing to tell.
type told struct {
	order []tale
	cases map[tale][]instance
}

// tale is a problem; end is what its message ends with, after its cases.
type tale struct {
	p   mesh.Problem
	end string
}

// instance is a case of a problem: because of what, and for the clients of which
// namespaces, in the order found; the empty one is all others.
type instance struct {
	by     string
	scopes []string
}

// tell adds a case of a problem; by may be empty.
func (t *told) tell(p mesh.Problem, by, scope, end string) {
	k := tale{p, end}
	list, known := t.cases[k]
	if !known {
		t.order = append(t.order, k)
		if t.cases == nil {
			t.cases = map[tale][]instance{}
		}
	}
	if i := slices.IndexFunc(list, func(c instance) bool { return c.by == by }); i >= 0 {
		list[i].scopes = append(list[i].scopes, scope)
	} else {
		list = append(list, instance{by, []string{scope}})
	}
	t.cases[k] = list
}

// take returns the problems and forgets them.
func (t *told) take() []mesh.Problem {
	var out []mesh.Problem
	for _, k := range t.order {
		p, list := k.p, t.cases[k]
		var said []string
		for _, c := range list[:min(len(list), mostNamed)] {
			said = append(said, c.by+whom(c.scopes))
		}
		p.Message += strings.Join(said, ", ")
		if more := len(list) - mostNamed; more > 0 {
			p.Message += fmt.Sprintf(" and %d more", more)
		}
		p.Message += k.end
		out = append(out, p)
	}
	*t = told{}
	return out
}

// mostNamed is how many cases, and namespaces of each, a problem names.
const mostNamed = 3

// whom says whose clients are meant; scopes are not empty. What holds for all
// that nobody names is not limited to some.
func whom(scopes []string) string {
	for _, s := range scopes {
		if s == "" {
			return ""
		}
	}
	if len(scopes) == 1 {
		return " for clients of namespace " + scopes[0]
	}
	out := " for clients of namespaces " + strings.Join(scopes[:min(len(scopes), mostNamed)], ", ")
	if more := len(scopes) - mostNamed; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	return out
}
