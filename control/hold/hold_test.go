package hold_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/control/hold"
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/seedtest"
	"github.com/weftmesh/weft/mesh"
)

var settings = mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local", RootNamespace: "weft-system"}

// scene is a cluster whose objects change while a clock goes on.
type scene struct {
	t      *testing.T
	stream *world.Stream
	clock  time.Time
	holder *hold.Holder
	builds int
	latest *world.World
}

func newScene(t *testing.T, objects ...string) *scene {
	s := &scene{t: t, stream: world.NewStream("cluster.local"), clock: time.Unix(1e9, 0)}
	x := translate.NewIncremental(settings)
	s.holder = hold.New(func(w *world.World) translate.Result { s.builds++; return x.Build(w) }, func() time.Time { return s.clock })
	s.apply(objects...)
	return s
}

func (s *scene) apply(objects ...string) (translate.Result, time.Duration) {
	s.t.Helper()
	for _, text := range objects {
		list, problems, good := file.Decode("o.yaml", []byte(text))
		if !good || len(list) != 1 {
			s.t.Fatalf("%d objects, %v: %s", len(list), problems, text)
		}
		s.stream.Apply(world.Put(list[0].Obj, list[0].Origin))
	}
	s.latest = s.stream.World()
	return s.holder.Next(s.latest)
}

func (s *scene) delete(kind world.Kind, name string) (translate.Result, time.Duration) {
	s.stream.Apply(world.Delete(kind, mesh.Ref{Namespace: "shop", Name: name}))
	s.latest = s.stream.World()
	return s.holder.Next(s.latest)
}

func (s *scene) after(d time.Duration) (translate.Result, time.Duration) {
	s.clock = s.clock.Add(d)
	return s.holder.Next(s.latest)
}

func has(r translate.Result, code problem.Code) bool {
	return slices.ContainsFunc(r.Problems, func(p mesh.Problem) bool { return p.Code == string(code) })
}

// subsets are those that requests to web are sent to.
func subsets(r translate.Result) (out []string) {
	for _, route := range r.Mesh.Routes {
		for _, rule := range route.Rules {
			for _, b := range rule.Backends {
				out = append(out, b.Subset)
			}
		}
	}
	return out
}

func object(kind, name, spec string) string {
	version := "networking.istio.io/v1"
	if kind == "Service" {
		version = "v1"
	}
	return "apiVersion: " + version + "\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: shop}\nspec: " + spec
}

func service(name string) string {
	return object("Service", name, "{clusterIP: None, ports: [{name: http, port: 80}]}")
}

func routes(name, to string) string {
	return object("VirtualService", name, "{hosts: [web], http: [{route: [{destination: {host: web, subset: "+to+"}}]}]}")
}

func rule(name, list string) string {
	var out []string
	for s := range strings.FieldsSeq(list) {
		out = append(out, "{name: "+s+", labels: {version: "+s+"}}")
	}
	return object("DestinationRule", name, "{host: web, subsets: ["+strings.Join(out, ", ")+"]}")
}

// TestRoutesBeforeSubsets: what was in effect stays until the subset is there,
// and not for longer than the bound.
func TestRoutesBeforeSubsets(t *testing.T) {
	s := newScene(t, service("web"), rule("web", "v1"), routes("web", "v1"))
	r, wait := s.apply(routes("web", "v2"))
	if got := subsets(r); !slices.Equal(got, []string{"v1"}) || wait != hold.Bound || !has(r, problem.ChangeHeld) || has(r, problem.ReferenceMissing) {
		t.Fatalf("a subset that is not there yet: to %v, %v, %v", got, wait, r.Problems)
	}
	// What else changes is in effect at once.
	if r, wait = s.apply(service("other")); len(r.Mesh.Services) != 2 || wait != hold.Bound {
		t.Fatalf("something else is held too: %v", wait)
	}
	s.clock = s.clock.Add(hold.Bound / 2)
	if r, wait = s.apply(rule("web", "v1 v2")); !slices.Equal(subsets(r), []string{"v2"}) || wait != 0 || len(r.Problems) != 0 {
		t.Fatalf("the subset is there: to %v, %v, %v", subsets(r), wait, r.Problems)
	}
	builds := s.builds
	if s.apply(service("third")); s.builds != builds+1 {
		t.Errorf("%d translations where nothing is held", s.builds-builds)
	}

	// Nothing comes. Other changes of the object do not lengthen the time.
	s.apply(routes("web", "v3"))
	s.clock = s.clock.Add(hold.Bound - time.Millisecond)
	if r, wait = s.apply(routes("web", "v4")); !slices.Equal(subsets(r), []string{"v2"}) || wait != time.Millisecond {
		t.Fatalf("before the end: to %v, %v", subsets(r), wait)
	}
	if r, wait = s.after(wait); !slices.Equal(subsets(r), []string{"v4"}) || wait != 0 || has(r, problem.ChangeHeld) || !has(r, problem.ReferenceMissing) {
		t.Fatalf("at the end: to %v, %v, %v", subsets(r), wait, r.Problems)
	}
	// What is broken already holds nothing.
	if r, wait = s.apply(service("fourth")); len(r.Mesh.Services) != 4 || wait != 0 {
		t.Errorf("held by what was broken before: %v", wait)
	}
}

// TestAtTheStart: what is there at first is in effect, whatever it refers to.
func TestAtTheStart(t *testing.T) {
	s := newScene(t)
	s.holder = hold.New(func(w *world.World) translate.Result { return translate.Build(w, settings) }, func() time.Time { return s.clock })
	if r, wait := s.apply(service("web"), routes("web", "v1")); len(subsets(r)) != 1 || wait != 0 {
		t.Errorf("to %v, %v", subsets(r), wait)
	}
}

// TestSubsetsGoFirst: a rule that goes before the routes stays until they are
// gone, or another rule has its subsets.
func TestSubsetsGoFirst(t *testing.T) {
	s := newScene(t, service("web"), rule("web", "v1 v2"), rule("unused", "v9"), routes("web", "v2"))
	s.delete(world.KindDestinationRule, "unused")
	r, wait := s.delete(world.KindDestinationRule, "web")
	if len(r.Mesh.Destinations) != 1 || wait != hold.Bound || !has(r, problem.ChangeHeld) || has(r, problem.ReferenceMissing) {
		t.Fatalf("the rule is gone: %v, %v", wait, r.Problems)
	}
	if r, wait = s.apply(rule("renamed", "v1 v2")); len(r.Mesh.Destinations) != 1 || wait != 0 || len(r.Problems) != 0 || r.Mesh.Destinations[0].Origins[0].Name != "renamed" {
		t.Fatalf("replaced: %v, %v", wait, r.Problems)
	}
	if _, wait = s.apply(rule("renamed", "v1")); wait != hold.Bound {
		t.Fatalf("a rule loses the subset: %v", wait)
	}
	if r, wait = s.delete(world.KindVirtualService, "web"); wait != 0 || len(r.Problems) != 0 || len(r.Mesh.Destinations[0].Subsets) != 1 {
		t.Fatalf("nobody refers to it: %v, %v", wait, r.Problems)
	}
	// Nobody asks for it any more: it goes at once. Else at the end.
	s.apply(routes("web", "v1"))
	if _, wait = s.delete(world.KindDestinationRule, "renamed"); wait != hold.Bound {
		t.Fatalf("wait %v", wait)
	}
	if r, wait = s.after(hold.Bound); wait != 0 || len(r.Mesh.Destinations) != 0 || !has(r, problem.ReferenceMissing) {
		t.Errorf("at the end: %v, %v", wait, r.Problems)
	}
}

// TestOthersThatComeLate: hosts of destinations, and delegates.
func TestOthersThatComeLate(t *testing.T) {
	s := newScene(t, service("web"))
	if r, wait := s.apply(object("VirtualService", "web", "{hosts: [web], http: [{route: [{destination: {host: late}}]}]}")); wait != hold.Bound || len(r.Mesh.Routes) != 0 {
		t.Fatalf("without the host: %v", r.Mesh.Routes)
	}
	if r, wait := s.apply(service("late")); wait != 0 || len(r.Mesh.Routes) != 1 || len(r.Problems) != 0 {
		t.Fatalf("with the host: %v %v", wait, r.Problems)
	}
	if r, wait := s.apply(object("VirtualService", "web", "{hosts: [web], http: [{delegate: {name: part}}]}")); wait != hold.Bound || r.Mesh.Routes[0].Rules[0].Backends[0].Service.Name != "late" {
		t.Fatalf("without the delegate: %v", wait)
	}
	if r, wait := s.apply(object("VirtualService", "part", "{http: [{route: [{destination: {host: web}}], timeout: 1s}]}")); wait != 0 || len(r.Problems) != 0 {
		t.Fatalf("with the delegate: %v %v", wait, r.Problems)
	}
}

// TestNothingIsHeldInVain: what would be as broken with what was in effect before
// takes effect at once: a rule that loses what nobody asks for while a host goes,
// and routes whose last state refers to what is gone.
func TestNothingIsHeldInVain(t *testing.T) {
	late := object("VirtualService", "late", "{hosts: [late], http: [{route: [{destination: {host: late}}]}]}")
	s := newScene(t, service("web"), service("late"), rule("web", "v1 v2"), routes("web", "v1"), late,
		object("VirtualService", "to-late", "{hosts: [web], http: [{route: [{destination: {host: late}}]}]}"))
	s.stream.Apply(world.Delete(world.KindService, mesh.Ref{Namespace: "shop", Name: "late"}))
	r, wait := s.apply(rule("web", "v1"))
	if wait != 0 || has(r, problem.ChangeHeld) || len(r.Mesh.Destinations[0].Subsets) != 1 {
		t.Fatalf("a rule is held for a host that is gone: %v, %v", wait, r.Problems)
	}
	// The same where it is held for something else besides.
	s = newScene(t, service("web"), service("late"), rule("web", "v1 v2"), routes("web", "v2"), late)
	s.stream.Apply(world.Delete(world.KindService, mesh.Ref{Namespace: "shop", Name: "late"}))
	if r, wait = s.apply(rule("web", "v1")); wait != hold.Bound || len(r.Mesh.Destinations[0].Subsets) != 2 {
		t.Fatalf("a rule is not held: %v, %v", wait, r.Problems)
	}
	// At the end of that the routes refer to what is gone, whichever they are.
	s.clock = s.clock.Add(hold.Bound / 2)
	if r, wait = s.apply(routes("web", "v3")); wait != hold.Bound/2 || !slices.Equal(subsets(r), []string{"v2"}) {
		t.Fatalf("both are held: %v, %v", wait, r.Problems)
	}
	if r, wait = s.after(wait); wait != 0 || !slices.Equal(subsets(r), []string{"v3"}) {
		t.Fatalf("routes are held that are as broken as the new ones: %v, %v", wait, r.Problems)
	}
}

// TestToldTheSameAgain: which of several reasons is told does not change, so that
// nothing is told anew while a change waits.
func TestToldTheSameAgain(t *testing.T) {
	s := newScene(t, service("web"))
	split := "{destination: {host: web, subset: %s}, weight: 25}"
	var shares []string
	for _, v := range []string{"v1", "v2", "v3", "v4"} {
		shares = append(shares, strings.Replace(split, "%s", v, 1))
	}
	first, wait := s.apply(object("VirtualService", "web", "{hosts: [web], http: [{route: ["+strings.Join(shares, ", ")+"]}]}"))
	if wait != hold.Bound || !has(first, problem.ChangeHeld) {
		t.Fatalf("not held: %v", first.Problems)
	}
	for range 50 {
		if again, _ := s.after(0); !reflect.DeepEqual(again.Problems, first.Problems) {
			t.Fatalf("told\n%v, then\n%v", first.Problems, again.Problems)
		}
	}
}

// TestHeldForAMomentOnly: whatever happens, a bound after the last change all of
// it is in effect.
func TestHeldForAMomentOnly(t *testing.T) {
	lots := rand.New(rand.NewPCG(seedtest.Of(t), 1))
	names := []string{"a", "b"}
	subset := []string{"v1", "v2", "v1 v2", ""}
	for range 60 {
		s := newScene(t, service("web"))
		for range 25 {
			name, one := names[lots.IntN(2)], subset[lots.IntN(2)]
			var wait time.Duration
			switch lots.IntN(6) {
			case 0, 1:
				_, wait = s.apply(routes(name, one))
			case 2:
				_, wait = s.delete(world.KindVirtualService, name)
			case 3, 4:
				_, wait = s.apply(rule(name, subset[lots.IntN(4)]))
			case 5:
				_, wait = s.delete(world.KindDestinationRule, name)
			}
			if wait < 0 || wait > hold.Bound {
				t.Fatalf("wait %v", wait)
			}
			s.clock = s.clock.Add(time.Duration(lots.Int64N(int64(hold.Bound))))
		}
		end := s.clock.Add(hold.Bound)
		r, wait := s.after(0)
		for wait > 0 {
			r, wait = s.after(wait)
		}
		if s.clock.After(end) {
			t.Fatalf("held %v too long", s.clock.Sub(end))
		}
		if want := translate.Build(s.latest, settings); !reflect.DeepEqual(r.Mesh, want.Mesh) || !reflect.DeepEqual(r.Problems, want.Problems) {
			t.Fatalf("not what the objects say:\n%v\n%v", r.Problems, want.Problems)
		}
	}
}
