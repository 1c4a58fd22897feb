package install

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/manifests"
)

// CRDs returns the definitions to install: all of ours, and of the shared ones
// those that nobody else has installed.
func CRDs(ctx context.Context, c console.Console, cl *cluster.Cluster) ([]manifests.Object, error) {
	all, err := manifests.CRDs()
	if err != nil {
		return nil, err
	}
	var out []manifests.Object
	for _, d := range all {
		if cl != nil && d.Shared {
			labels, exists, err := cl.CRDLabels(ctx, d.Name)
			if err != nil {
				return nil, err
			}
			if exists && labels[manifests.PartOf] != manifests.PartOfWeft {
				c.Printf("%s is installed already by somebody else: it is left alone\n", d.Name)
				continue
			}
		}
		out = append(out, d.Object)
	}
	return out, nil
}

// onlyOne refuses a second control plane: the webhooks and the roles of the
// cluster belong to one.
func (r Request) onlyOne(ctx context.Context, cl *cluster.Cluster, namespace string) error {
	hook, err := cl.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", cluster.ErrConnect, err)
	}
	if at := hook.Labels[manifests.ControlPlane]; at != "" && at != namespace {
		return fmt.Errorf("the cluster has a control plane in namespace %s already; uninstall it first, or install into %s", at, strings.TrimSpace(at))
	}
	return nil
}
