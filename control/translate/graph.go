package translate

import (
	"strings"

	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// graph knows which objects mention which names.
type graph struct {
	tokens  map[id][]token
	members map[token][]id
	// entries and servers count those objects by namespace; links and leaves
	// count the patterns.
	entries, servers, links, leaves map[string]int
}

func newGraph() *graph {
	return &graph{tokens: map[id][]token{}, members: map[token][]id{}, entries: map[string]int{}, servers: map[string]int{}, links: map[string]int{}, leaves: map[string]int{}}
}

// set replaces what an object mentions.
func (g *graph) set(i id, now []token, exists bool) {
	if old, had := g.tokens[i]; had {
		for _, t := range old {
			list := g.members[t]
			for n := range list {
				if list[n] == i {
					list[n] = list[len(list)-1]
					list = list[:len(list)-1]
					break
				}
			}
			if len(list) == 0 {
				delete(g.members, t)
			} else {
				g.members[t] = list
			}
		}
		delete(g.tokens, i)
		g.count(i, old, -1)
	}
	if !exists {
		return
	}
	for n, t := range now {
		list := g.members[t]
		if len(list) > 0 { // one copy of each text is enough
			for _, same := range g.tokens[list[0]] {
				if same == t {
					now[n] = same
				}
			}
		}
		g.members[now[n]] = append(list, i)
	}
	g.tokens[i] = now
	g.count(i, now, 1)
}

func (g *graph) count(i id, list []token, by int) {
	add := func(m map[string]int, k string) {
		if m[k] += by; m[k] == 0 {
			delete(m, k)
		}
	}
	switch i.kind {
	case world.KindWorkloadEntry:
		add(g.entries, i.ref.Namespace)
	case world.KindServer:
		add(g.servers, i.ref.Namespace)
	}
	for _, t := range list {
		switch t.kind() {
		case 'w':
			add(g.links, t.name())
		case 'l':
			add(g.leaves, t.name())
		}
	}
}

// leads says whether the objects that mention a token depend on each other.
func (g *graph) leads(t token) bool {
	switch t.kind() {
	case 'h', 'a', 'v', 'g', 's', 'w':
		return true
	case 'e':
		return g.entries[t.name()] > 0
	case 'n':
		return g.servers[t.name()] > 0
	}
	return false
}

// covered calls for each token of a host, or of a pattern, that a pattern covers.
func (g *graph) covered(pattern string, visit func(token)) {
	for t := range g.members {
		if k := t.kind(); (k == 'h' || k == 'w') && mesh.HostCovers(pattern, t.name()) {
			visit(t)
		}
	}
}

// component is what depends on each other, and the tokens through which.
type component struct {
	ids    map[id]struct{}
	tokens map[token]struct{}
}

// walk finds the component of an object.
func (g *graph) walk(from id) component {
	c := component{map[id]struct{}{from: {}}, map[token]struct{}{}}
	queue := []id{from}
	var reach func(t token)
	reach = func(t token) {
		if _, done := c.tokens[t]; done || !g.leads(t) {
			return
		}
		c.tokens[t] = struct{}{}
		for _, i := range g.members[t] {
			if _, done := c.ids[i]; !done {
				c.ids[i] = struct{}{}
				queue = append(queue, i)
			}
		}
		switch t.kind() {
		case 'h':
			for p := range g.links {
				if mesh.HostCovers(p, t.name()) {
					reach(token("w" + p))
				}
			}
		case 'w':
			g.covered(t.name(), reach)
			for p := range g.links {
				if mesh.HostCovers(p, t.name()) {
					reach(token("w" + p))
				}
			}
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, t := range g.tokens[i] {
			reach(t)
		}
	}
	g.leaf(c)
	return c
}

// leaf adds the rules whose pattern covers a host of the component.
func (g *graph) leaf(c component) {
	for p := range g.leaves {
		for t := range c.tokens {
			if k := t.kind(); (k == 'h' || k == 'w') && mesh.HostCovers(p, t.name()) {
				for _, i := range g.members[token("l"+p)] {
					c.ids[i] = struct{}{}
				}
				break
			}
		}
	}
}

// starts are the objects that a changed token concerns.
func (g *graph) starts(t token, visit func(id)) {
	members := func(t token) {
		for _, i := range g.members[t] {
			visit(i)
		}
	}
	members(t)
	switch t.kind() {
	case 'w', 'l':
		g.covered(t.name(), members)
	}
	if t.kind() == 'h' || t.kind() == 'w' {
		for p := range g.links {
			if mesh.HostCovers(p, t.name()) {
				members(token("w" + p))
			}
		}
	}
}

// isPattern says whether an object is a rule that is read for others only.
func (g *graph) isPattern(i id) bool {
	list := g.tokens[i]
	return len(list) == 1 && strings.HasPrefix(string(list[0]), "l")
}
