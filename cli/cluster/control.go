package cluster

import (
	"context"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/manifests"
)

// ControlArgs are the arguments that the chart gave the control plane, such as
// --trust-domain, by name. The error is the API server's.
func (c *Cluster) ControlArgs(ctx context.Context) (map[string]string, error) {
	d, err := c.Kube.AppsV1().Deployments(c.ControlNamespace).Get(ctx, manifests.Deployment, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for i := range d.Spec.Template.Spec.Containers {
		for _, a := range d.Spec.Template.Spec.Containers[i].Args {
			name, value, _ := strings.Cut(a, "=")
			out[name] = value
		}
	}
	return out, nil
}
