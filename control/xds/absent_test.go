package xds

import (
	"testing"

	"github.com/weftmesh/weft/mesh"
)

// TestWithoutAnEmptyValue: a field that must not be there with an empty value
// may be absent, or have another value; one match cannot say both.
func TestWithoutAnEmptyValue(t *testing.T) {
	m := &mesh.Match{Path: mesh.PathMatch{Kind: mesh.Exact, Value: "/a"}, Headers: []mesh.ValueMatch{{Name: "x", Kind: mesh.Exact, Invert: true}, {Name: "y", Kind: mesh.Exact, Value: "1"}}}
	got := routeMatches(m, Weft)
	if len(got) != 2 {
		t.Fatalf("%d matches: %v", len(got), got)
	}
	there, absent := got[0].Headers[0], got[1].Headers[0]
	if !there.InvertMatch || there.GetStringMatch() == nil || there.TreatMissingHeaderAsEmpty {
		t.Errorf("with another value: %v", there)
	}
	if !absent.InvertMatch || !absent.GetPresentMatch() || got[1].GetPath() != "/a" || len(got[1].Headers) != 2 || got[1].Headers[1].InvertMatch {
		t.Errorf("absent: %v", got[1])
	}
	m.Headers[0].Value = "z"
	if got := routeMatches(m, Weft); len(got) != 1 || !got[0].Headers[0].TreatMissingHeaderAsEmpty {
		t.Errorf("a value that is not empty: %v", got)
	}
	for range 9 {
		m.Headers = append(m.Headers, mesh.ValueMatch{Name: "x" + string(rune('a'+len(m.Headers))), Kind: mesh.Exact, Invert: true})
	}
	if got := routeMatches(m, Weft); len(got) != maxAlternatives {
		t.Errorf("%d alternatives of many", len(got))
	}
}
