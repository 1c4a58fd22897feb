package route

import (
	"net/netip"
	"testing"
)

func TestConnections(t *testing.T) {
	split := func(name string) *Split {
		s, err := NewSplit([]Backend{{Name: name, Weight: 1}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := split("rest").Except([]Exception{
		{TLS: true, Split: split("tls")},
		{Name: "*.example.com", Split: split("wild")},
		{Name: "*.deep.example.com", Split: split("deep")},
		{Name: "a.example.com", Split: split("exact")},
		{Name: "a.example.com", Split: split("second")},
		{To: netip.MustParsePrefix("10.0.0.0/8"), Split: split("ten")},
		{To: netip.MustParsePrefix("10.1.0.0/16"), Name: "b.org", Split: split("narrow")},
		{To: netip.MustParsePrefix("fd00::/8"), Split: split("six")},
	})
	if !s.ByName() || split("x").ByName() || (*Split)(nil).ByName() || (*Split)(nil).For(Connection{}) != nil {
		t.Error("names")
	}
	for want, cs := range map[string][]Connection{
		"rest":   {{}, {Name: "a.example.com"}, {To: netip.MustParseAddr("11.0.0.1")}},
		"tls":    {{TLS: true}, {TLS: true, Name: "example.com"}, {TLS: true, Name: "other"}},
		"wild":   {{TLS: true, Name: "b.example.com"}, {TLS: true, Name: "c.b.example.com"}},
		"deep":   {{TLS: true, Name: "x.deep.example.com"}},
		"exact":  {{TLS: true, Name: "a.example.com"}},
		"ten":    {{To: netip.MustParseAddr("10.2.0.1")}, {To: netip.MustParseAddr("10.1.0.1"), TLS: true, Name: "a.example.com"}},
		"narrow": {{To: netip.MustParseAddr("10.1.0.1"), TLS: true, Name: "b.org"}},
		"six":    {{To: netip.MustParseAddr("fd00::1")}},
	} {
		for _, c := range cs {
			if got := s.For(c).Pick(0).Name; got != want {
				t.Errorf("%+v goes to %s, want %s", c, got, want)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.For(Connection{TLS: true, Name: "x.deep.example.com"}) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
