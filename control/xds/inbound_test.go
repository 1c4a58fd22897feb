package xds

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestInboundFailsClosed(t *testing.T) {
	ports := []mesh.Port{{Number: 1, Protocol: mesh.HTTP}, {Number: 2, Protocol: mesh.TCP}, {Number: 3, Protocol: mesh.TLS}, {Number: 4}}
	for _, c := range []struct {
		own, mesh mesh.MTLSMode
		plain     bool
	}{
		{"", mesh.Permissive, true}, {"", mesh.Strict, false}, {mesh.Strict, mesh.Permissive, false}, {mesh.Permissive, mesh.Strict, true},
		{"nonsense", mesh.Permissive, false}, {"", "", false},
	} {
		l := InboundListener(&mesh.Workload{Ports: ports, Inbound: c.own}, c.mesh, Weft)
		var names []string
		for _, ch := range l.GetFilterChains() {
			names = append(names, ch.GetName())
			mutual := strings.Contains(ch.GetName(), "mtls")
			if mutual != (ch.GetTransportSocket() != nil) {
				t.Errorf("%s: transport socket %v", ch.GetName(), ch.GetTransportSocket())
			}
		}
		want := []string{"1-mtls-http", "1-mtls-tcp", "2-mtls-tcp", "3-mtls-tcp", "4-mtls-http", "4-mtls-tcp", "0-mtls-http", "0-mtls-tcp"}
		if c.plain {
			want = []string{"1-mtls-http", "1-mtls-tcp", "1-plain-http", "1-plain-tcp", "2-mtls-tcp", "2-plain-tcp", "3-mtls-tcp", "3-plain-tcp",
				"4-mtls-http", "4-mtls-tcp", "4-plain-http", "4-plain-tcp", "0-mtls-http", "0-mtls-tcp", "0-plain-http", "0-plain-tcp"}
		}
		if !slices.Equal(names, want) {
			t.Errorf("workload %q, mesh %q: %v, want %v", c.own, c.mesh, names, want)
		}
	}
}

// TestApplicationsElsewhere: what a Sidecar says of a port's application is told.
func TestApplicationsElsewhere(t *testing.T) {
	ports := []mesh.Port{{Number: 80, Application: netip.MustParseAddrPort("127.0.0.1:8080")}, {Number: 81}, {Number: 82, Application: netip.MustParseAddrPort("0.0.0.0:83")}}
	got := InboundListener(&mesh.Workload{Ports: ports}, mesh.Strict, Weft).GetMetadata().GetFilterMetadata()[weftMetadata].GetFields()["applications"].GetStringValue()
	if got != "80=127.0.0.1:8080 82=0.0.0.0:83" {
		t.Errorf("told %q", got)
	}
	if m := InboundListener(&mesh.Workload{Ports: ports[1:2]}, mesh.Strict, Weft).GetMetadata(); m != nil {
		t.Errorf("nothing to tell, but %v", m)
	}
}

func TestUnknownOutboundModeRefuses(t *testing.T) {
	for mode, want := range map[mesh.OutboundMode]string{mesh.AllowAny: PassthroughCluster, mesh.RegistryOnly: BlackHoleCluster, "": BlackHoleCluster} {
		if got := OutboundListener(mode, Weft).GetDefaultFilterChain().String(); !strings.Contains(got, want) {
			t.Errorf("%q: %s", mode, got)
		}
	}
}
