package translate

import (
	"testing"
	"time"

	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// TestOverlaysWithMatches: policy for some requests makes a more special rule
// before each rule, which keeps where the requests go.
func TestOverlaysWithMatches(t *testing.T) {
	svc := mesh.Ref{Namespace: "ns", Name: "api"}
	to := func(name string) []mesh.Backend {
		return []mesh.Backend{{Service: mesh.Ref{Namespace: "ns", Name: name}, Port: 80, Weight: 1}}
	}
	route := fragment.Route{Route: &mesh.Route{Service: svc, Port: 80, Rules: []mesh.Rule{
		{Name: "x", Matches: []mesh.Match{{Path: mesh.PathMatch{Kind: mesh.StringPrefix, Value: "/x"}, Method: "GET"}}, Backends: to("x")},
		{Name: "all", Backends: to("y")},
	}}}
	users := fragment.Overlay{Service: svc, Port: 80, Origin: mesh.Origin{Name: "profile"}, Created: time.Unix(2, 0),
		Matches: []mesh.Match{{Path: mesh.PathMatch{Kind: mesh.Regex, Value: "/.*users"}, Method: "GET"}, {Method: "POST"}}}
	users.Policy.Timeouts.Request = mesh.After(time.Second)
	general := fragment.Overlay{Service: svc, Port: 80, Origin: mesh.Origin{Name: "general"}, Created: time.Unix(1, 0)}
	general.Policy.Timeouts.Request = mesh.After(time.Minute)
	general.Policy.RequestHeaders.Set = []mesh.Header{{Name: "a", Value: "1"}}
	out, problems := merge([]fragment.Fragment{{Routes: []fragment.Route{route}}, {Overlays: []fragment.Overlay{users, general}}, {}})
	if len(problems) != 0 || len(out) != 1 {
		t.Fatalf("%v, %v", out, problems)
	}
	var got []string
	for _, r := range out[0].Rules {
		got = append(got, r.Name+" "+r.Backends[0].Service.Name+" "+r.Timeouts.Request.Std().String())
		if len(r.RequestHeaders.Set) != 1 {
			t.Errorf("%s lacks the general policy", r.Name)
		}
	}
	want := []string{"x x 1s", "x x 1m0s", "all y 1s", "all y 1m0s"}
	if len(got) != len(want) {
		t.Fatalf("%q", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%q, want %q", got, want)
		}
	}
	m := out[0].Rules[0].Matches
	if len(m) != 1 || m[0].Path.Value != "/x" || m[0].Headers[0].Name != ":path" || m[0].Headers[0].Value != `(?:/.*users)(\?.*)?` {
		t.Errorf("both conditions: %+v", m)
	}
	// What no rule takes is told.
	late := general
	late.Created, late.Origin.Name = time.Unix(3, 0), "late"
	_, problems = merge([]fragment.Fragment{{}, {Overlays: []fragment.Overlay{general, late}}, {}})
	if len(problems) != 2 || problems[0].Origin.Name != "late" {
		t.Errorf("lost: %v", problems)
	}
}

func TestFamiliesShareADestination(t *testing.T) {
	svc := mesh.Ref{Namespace: "ns", Name: "api"}
	n := uint32(5)
	first := &mesh.Destination{Service: svc, Scope: "a", Policy: mesh.Policy{Outlier: &mesh.Outlier{Consecutive5xx: &n}}, Subsets: []mesh.Subset{{Name: "v2"}}}
	second := &mesh.Destination{Service: svc, Policy: mesh.Policy{Outlier: &mesh.Outlier{}, Accrual: &mesh.Accrual{MaxFailures: 7}}}
	out := mergeDestinations([]fragment.Fragment{{Destinations: []*mesh.Destination{first}}, {Destinations: []*mesh.Destination{second}}})
	if len(out) != 2 || out[0].Policy.Outlier.Consecutive5xx != &n || out[0].Policy.Accrual == nil || out[0].Subsets[0].Policy.Accrual == nil || out[1].Policy.Accrual == nil {
		t.Errorf("%+v", out)
	}
	if first.Policy.Accrual != nil || first.Subsets[0].Policy.Accrual != nil {
		t.Error("a translator's own result was changed")
	}
}
