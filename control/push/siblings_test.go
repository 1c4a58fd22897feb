package push

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/identity"
)

func TestSiblingsAreBoundedAndForgotten(t *testing.T) {
	s := newSiblings()
	now := time.Unix(1_000_000, 0)
	s.now = func() time.Time { return now }
	web := kin{identity.ID{TrustDomain: "cluster.local", Namespace: "default", ServiceAccount: "web"}, "deployment/web"}
	names := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprintf("10.0.%d.%d_80", i/250, i%250))
		}
		return out
	}

	s.begin(web, xds.VirtualInbound, xds.Siblings)
	if len(s.groups) != 0 {
		t.Errorf("listeners that are no destinations made a group: %v", s.groups)
	}
	many := names(groupNames + 50)
	s.begin(web, many...)
	if n := len(s.groups[web]); n != groupNames {
		t.Errorf("%d names are kept, want %d", n, groupNames)
	}
	s.begin(web, "10.9.9.9_80") // all are in use: there is no room
	if got := s.list(web); len(got) != warmNames || slices.Contains(got, "10.9.9.9_80") || !slices.IsSorted(got) {
		t.Errorf("a list of %d names: %v", len(got), got)
	}

	s.end(web, many...)
	s.begin(web, "10.9.9.9_80", "10.9.9.9_80") // two proxies use it: it comes first, and there is room
	if got := s.list(web); !slices.Contains(got, "10.9.9.9_80") {
		t.Errorf("the most used destination is missing from %v", got)
	}
	now = now.Add(siblingMemory + time.Second)
	if got := s.list(web); !slices.Equal(got, []string{"10.9.9.9_80"}) {
		t.Errorf("after %v: %v, want only what is still used", siblingMemory, got)
	}
	s.end(web, "10.9.9.9_80")
	s.end(web, "10.9.9.9_80")
	s.end(web, "10.9.9.9_80") // once too often
	now = now.Add(siblingMemory + time.Second)
	if got := s.list(web); len(got) != 0 {
		t.Errorf("kept for ever: %v", got)
	}
}
