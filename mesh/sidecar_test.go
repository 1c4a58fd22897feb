package mesh

import "testing"

func TestSidecarSees(t *testing.T) {
	s := &Sidecar{Egress: []Egress{
		{Port: 80, Hosts: []EgressHost{{Namespace: "shop", Host: "*"}}},
		{Hosts: []EgressHost{{Namespace: "*", Host: "*"}, {Namespace: "far", Host: "*", Not: true}, {Namespace: "*", Host: "*.secret.example", Not: true}}},
	}}
	for _, c := range []struct {
		namespace, host string
		port            uint16
		want            bool
	}{
		{"shop", "api", 80, true},
		{"other", "api", 80, false}, // the entry for port 80 is alone for it
		{"other", "api", 81, true},
		{"other", "api", 0, true},
		{"far", "api", 81, false},
		{"shop", "x.secret.example", 80, false}, // taken out by another entry
		{"shop", "x.secret.example", 81, false},
	} {
		if got := s.Sees(c.namespace, c.host, c.port); got != c.want {
			t.Errorf("%s/%s:%d: %v", c.namespace, c.host, c.port, got)
		}
	}
	if !(*Sidecar)(nil).Sees("a", "b", 1) || !(&Sidecar{}).Sees("a", "b", 1) || (&Sidecar{Egress: []Egress{}}).Sees("a", "b", 1) {
		t.Error("nothing said means all, an empty list nothing")
	}
}
