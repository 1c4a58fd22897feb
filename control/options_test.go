package control

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestOptionsNameEveryFault(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		want []string
	}{
		{"nothing", Options{}, []string{`source ""`}},
		{"file without anything", Options{Source: File}, []string{"--dir", "--state-dir or --token-key", "--issuer-cert"}},
		{"file with webhooks", Options{Source: File, Dir: "d", StateDir: "s", WebhookListen: ":1"}, []string{"--webhook-listen"}},
		{"kube without a cluster", Options{Source: Kube}, []string{"needs a cluster", "--issuer-secret"}},
		{"unknown modes", Options{Source: File, Dir: "d", StateDir: "s", Outbound: "DENY", Inbound: "OFF", NativeSidecar: "maybe", TrustDomain: "A B"}, []string{"outbound", "inbound", "native sidecar", "trust domain"}},
	} {
		_, err := c.o.withDefaults()
		if !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v does not speak of %q", c.name, err, w)
			}
		}
	}
}

func TestOptionsHaveDefaults(t *testing.T) {
	o, err := Options{Source: File, Dir: "d", StateDir: "s"}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	if o.TokenKey != filepath.Join("s", TokenKeyFile) || o.Issuer.Roots != filepath.Join("s", TrustAnchorsFile) {
		t.Errorf("files: %+v", o)
	}
	want := mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local", RootNamespace: "weft-system", Outbound: mesh.AllowAny, Inbound: mesh.Permissive, Combine: mesh.CombineAll}
	if o.mesh() != want {
		t.Errorf("mesh: %+v", o.mesh())
	}
}
