// Package hold keeps what was in effect in effect for a moment where a change
// names what does not exist. The objects of one kubectl apply arrive one after
// another, those of different kinds in any order: routes to a subset may come
// before the subset, and the subset may go before the routes.
package hold

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// Bound is how long a change is held at most, from when it was first seen. It is
// some dozens of objects of one kubectl apply, which take 10 to 30 ms each.
const Bound = time.Second

// Holder decides what of one World after another takes effect. It is for one
// goroutine.
type Holder struct {
	build func(*world.World) translate.Result
	now   func() time.Time
	// effect is what is in effect, broken what of it refers to nothing.
	effect *world.World
	broken map[reference]bool
	// since is when the changes that are held were first seen.
	since map[object]time.Time
}

// New makes one that has seen nothing yet.
func New(build func(*world.World) translate.Result, now func() time.Time) *Holder {
	return &Holder{build: build, now: now, since: map[object]time.Time{}}
}

// object names a VirtualService or a DestinationRule.
type object struct {
	kind world.Kind
	ref  mesh.Ref
}

// reference is a place in a VirtualService that names what does not exist.
type reference struct {
	from           mesh.Ref
	field, message string
}

func (a reference) compare(b reference) int {
	return cmp.Or(cmp.Compare(a.from.Namespace, b.from.Namespace), cmp.Compare(a.from.Name, b.from.Name), cmp.Compare(a.field, b.field), cmp.Compare(a.message, b.message))
}

// change is one that is held, and the references because of which.
type change struct {
	origin mesh.Origin
	refs   []reference
}

// Next translates the World but for changes that are held, and tells of these.
// Where wait is above zero Next is to be called again after it, with the newest
// World.
func (h *Holder) Next(w *world.World) (r translate.Result, wait time.Duration) {
	now := h.now()
	r = h.build(w)
	held := map[object]change{}
	if h.effect != nil {
		// Each round holds something that the last one has not, or gives up for
		// good what was held in vain.
		vain := map[object]bool{}
		for in := w; ; r = h.build(in) {
			more := h.blame(in, r.Problems, now, held, vain)
			maps.Copy(held, more)
			if len(more) == 0 && !h.release(r.Problems, held, vain) {
				w = in
				break
			}
			in = h.without(w, held)
		}
	}
	since := make(map[object]time.Time, len(held))
	for o := range held {
		since[o] = h.first(o, now)
		if left := Bound - now.Sub(since[o]); wait == 0 || left < wait {
			wait = left
		}
	}
	h.effect, h.since, h.broken = w, since, map[reference]bool{}
	for ref := range references(r.Problems) {
		h.broken[ref] = true
	}
	if len(held) > 0 {
		r.Problems = append([]mesh.Problem(nil), r.Problems...)
		for _, c := range held {
			r.Problems = append(r.Problems, c.problem())
		}
		mesh.SortProblems(r.Problems)
	}
	return r, wait
}

func (h *Holder) first(o object, now time.Time) time.Time {
	if t, ok := h.since[o]; ok {
		return t
	}
	return now
}

// blame finds the changes that are to be held, since something refers to nothing
// that did not before: that of the VirtualService itself, else those by which
// DestinationRules have lost subsets.
func (h *Holder) blame(w *world.World, problems []mesh.Problem, now time.Time, held map[object]change, vain map[object]bool) map[object]change {
	out := map[object]change{}
	take := func(kind world.Kind, ref mesh.Ref, o mesh.Origin, why reference) {
		k := object{kind, ref}
		if _, known := held[k]; !known && !vain[k] && now.Sub(h.first(k, now)) < Bound {
			c := out[k]
			if len(c.refs) == 0 {
				c.origin = o
			}
			c.refs = append(c.refs, why)
			out[k] = c
		}
	}
	all := references(problems)
	// In order, so that of several reasons the same one is told each time.
	for _, ref := range slices.SortedFunc(maps.Keys(all), reference.compare) {
		if h.broken[ref] {
			continue
		}
		o := all[ref]
		if w.VirtualServices[ref.from] != h.effect.VirtualServices[ref.from] {
			take(world.KindVirtualService, ref.from, o, ref)
			continue
		}
		for r, before := range h.effect.DestinationRules {
			if now, ok := w.DestinationRules[r]; now != before && lost(before, now, ok) {
				take(world.KindDestinationRule, r, before.Origin, ref)
			}
		}
	}
	return out
}

// release gives up what is held in vain, and says whether there is such: a
// VirtualService that refers to nothing in its last state too, by now, and a
// DestinationRule whose last state mends no reference.
func (h *Holder) release(problems []mesh.Problem, held map[object]change, vain map[object]bool) bool {
	if len(held) == 0 {
		return false
	}
	refs, from := references(problems), map[mesh.Ref]bool{}
	maps.DeleteFunc(refs, func(r reference, _ mesh.Origin) bool { return h.broken[r] })
	for r := range refs {
		from[r.from] = true
	}
	before := len(held)
	maps.DeleteFunc(held, func(o object, c change) bool {
		if o.kind == world.KindVirtualService {
			vain[o] = from[o.ref]
		} else {
			vain[o] = !slices.ContainsFunc(c.refs, func(r reference) bool { _, still := refs[r]; return !still })
		}
		return vain[o]
	})
	return len(held) < before
}

// lost says whether a DestinationRule has not all of its subsets any more.
func lost(before, now world.Item[*istioapi.DestinationRule], exists bool) bool {
	if !exists || before.Obj.Spec.Host != now.Obj.Spec.Host {
		return len(before.Obj.Spec.Subsets) > 0
	}
	names := map[string]bool{}
	for _, s := range now.Obj.Spec.Subsets {
		names[s.Name] = true
	}
	for _, s := range before.Obj.Spec.Subsets {
		if !names[s.Name] {
			return true
		}
	}
	return false
}

// without is the World as it was before the changes that are held.
func (h *Holder) without(w *world.World, held map[object]change) *world.World {
	out := *w
	out.VirtualServices, out.DestinationRules = maps.Clone(w.VirtualServices), maps.Clone(w.DestinationRules)
	for o := range held {
		if o.kind == world.KindVirtualService {
			restore(out.VirtualServices, h.effect.VirtualServices, o.ref)
		} else {
			restore(out.DestinationRules, h.effect.DestinationRules, o.ref)
		}
	}
	return &out
}

func restore[T any](to, from world.Table[T], ref mesh.Ref) {
	if item, ok := from[ref]; ok {
		to[ref] = item
	} else {
		delete(to, ref)
	}
}

// references are the places of VirtualServices by which requests would fail,
// since what they name does not exist.
func references(problems []mesh.Problem) map[reference]mesh.Origin {
	out := map[reference]mesh.Origin{}
	for i := range problems {
		p := &problems[i]
		if p.Origin.Kind != string(world.KindVirtualService) || strings.HasPrefix(p.Field, "spec.hosts") {
			continue
		}
		switch problem.Code(p.Code) {
		case problem.ReferenceMissing, problem.BadDelegate:
			out[reference{mesh.Ref{Namespace: p.Origin.Namespace, Name: p.Origin.Name}, p.Field, p.Message}] = p.Origin
		}
	}
	return out
}

func (c *change) problem() mesh.Problem {
	what := "the object"
	if c.origin.Kind == string(world.KindDestinationRule) {
		what = fmt.Sprintf("VirtualService %s", c.refs[0].from)
	}
	return problem.New(problem.ChangeHeld, c.origin, "", fmt.Sprintf("what was in effect before stays, for at most %s, since without it %s refers to nothing (%s: %s)", Bound, what, c.refs[0].field, c.refs[0].message),
		"apply what is missing; then the change is in effect at once")
}
