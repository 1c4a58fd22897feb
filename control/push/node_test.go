package push

import (
	"errors"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/identity"
)

func TestNodeMustBeThatOfItsCertificate(t *testing.T) {
	web := identity.ID{TrustDomain: "cluster.local", Namespace: "default", ServiceAccount: "web"}
	meta := func(pairs ...string) *structpb.Struct {
		s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
		for i := 0; i < len(pairs); i += 2 {
			s.Fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
		}
		return s
	}
	for _, c := range []struct {
		name string
		node *corev3.Node
		pod  string
		want error
	}{
		{"whole", &corev3.Node{Id: "sidecar~10.0.0.1~web-0.default~default.svc.cluster.local", Metadata: meta("NAMESPACE", "default", "SERVICE_ACCOUNT", "web")}, "web-0", nil},
		{"pod with dots", &corev3.Node{Id: "sidecar~10.0.0.1~web.0.default~x"}, "web.0", nil},
		{"pod in metadata", &corev3.Node{Id: "some-client", Metadata: meta("POD_NAME", "web-1")}, "web-1", nil},
		{"id of another namespace", &corev3.Node{Id: "sidecar~10.0.0.1~web-0.kube-system~x"}, "", errForeign},
		{"metadata of another namespace", &corev3.Node{Id: "x", Metadata: meta("NAMESPACE", "kube-system")}, "", errForeign},
		{"metadata of another account", &corev3.Node{Id: "x", Metadata: meta("SERVICE_ACCOUNT", "admin")}, "", errForeign},
		{"no id", &corev3.Node{}, "", errNoNode},
		{"none", nil, "", errNoNode},
	} {
		got, err := clientOf(c.node, web)
		if !errors.Is(err, c.want) || got.Workload.Name != c.pod || err == nil && got.Namespace != "default" {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// FuzzNode: whatever a node says, its client is in the namespace of its
// certificate.
func FuzzNode(f *testing.F) {
	for _, s := range []string{"", "sidecar~10.0.0.1~web-0.default~default.svc.cluster.local", "~~~", "a~b~.~c", "sidecar~~.default~"} {
		f.Add(s, "default", "web")
	}
	f.Fuzz(func(t *testing.T, id, namespace, account string) {
		n := &corev3.Node{Id: id, Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{"NAMESPACE": structpb.NewStringValue(namespace), "SERVICE_ACCOUNT": structpb.NewStringValue(account)}}}
		c, err := clientOf(n, identity.ID{TrustDomain: "x", Namespace: "default", ServiceAccount: "web"})
		if err == nil && (c.Namespace != "default" || c.Workload.Namespace != "default" || namespace != "" && namespace != "default" || strings.Count(id, "~") == 3 && strings.HasSuffix(strings.Split(id, "~")[2], ".other")) {
			t.Errorf("%q, %q, %q: %+v", id, namespace, account, c)
		}
	})
}
