package push

import (
	"errors"
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/mesh"
)

// Errors of clientOf.
var (
	errNoNode  = errors.New("the first request names no node")
	errForeign = errors.New("the node is not that of the client certificate")
)

// clientOf says who a node is and refuses one that claims to be in another
// namespace, or to run as another service account, than its certificate.
func clientOf(n *corev3.Node, id identity.ID) (snapshot.Client, error) {
	if n.GetId() == "" {
		return snapshot.Client{}, fmt.Errorf("%w; set node.id", errNoNode)
	}
	meta := func(key string) string { return n.GetMetadata().GetFields()[key].GetStringValue() }
	pod, namespace := podOf(n.GetId())
	for _, claim := range []struct{ what, got, want string }{
		{"node.id", namespace, id.Namespace},
		{"metadata NAMESPACE", meta("NAMESPACE"), id.Namespace},
		{"metadata SERVICE_ACCOUNT", meta("SERVICE_ACCOUNT"), id.ServiceAccount},
	} {
		if claim.got != "" && claim.got != claim.want {
			return snapshot.Client{}, fmt.Errorf("%w: %s says %q, the certificate %q", errForeign, claim.what, claim.got, claim.want)
		}
	}
	if p := meta("POD_NAME"); p != "" {
		pod = p
	}
	return snapshot.Client{
		Kind:      xds.KindOf(n.GetUserAgentName()),
		Namespace: id.Namespace,
		Workload:  mesh.Ref{Namespace: id.Namespace, Name: pod},
	}, nil
}

// podOf reads pod and namespace from sidecar~<ip>~<pod>.<namespace>~<domain>;
// other ids, which proxyless clients may have, say nothing.
func podOf(id string) (pod, namespace string) {
	parts := strings.Split(id, "~")
	if len(parts) != 4 {
		return "", ""
	}
	// A pod's name may have dots, a namespace's may not.
	i := strings.LastIndexByte(parts[2], '.')
	if i < 0 {
		return "", ""
	}
	return parts[2][:i], parts[2][i+1:]
}
