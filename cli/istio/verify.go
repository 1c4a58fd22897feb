package istio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/cli/check"
	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/manifests"
)

// NewVerify makes `verify-install`.
func NewVerify(c console.Console, flags *cluster.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "verify-install",
		Short: "Check that everything of the installation is there and available",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := flags.Connect(c)
			if err != nil {
				return err
			}
			return verify(cmd.Context(), c, cl)
		},
	}
}

func verify(ctx context.Context, c console.Console, cl *cluster.Cluster) error {
	objects, err := expected(ctx, cl)
	if err != nil {
		return err
	}
	mapper, err := cl.Mapper()
	if err != nil {
		return err
	}
	var crds, deployments, faults int
	for _, o := range objects {
		name := o.GetKind() + ": " + o.GetName()
		if ns := o.GetNamespace(); ns != "" {
			name += "." + ns
		}
		switch o.GetKind() {
		case "CustomResourceDefinition":
			crds++
		case "Deployment":
			deployments++
		}
		if err := present(ctx, cl, mapper, o); err != nil {
			faults++
			_, _ = fmt.Fprintf(c.Out, "✘ %s: %v\n", name, err)
			continue
		}
		_, _ = fmt.Fprintf(c.Out, "✔ %s checked successfully\n", name)
	}
	_, _ = fmt.Fprintf(c.Out, "Checked %d custom resource definitions\nChecked %d Istio Deployments\n", crds, deployments)
	if faults > 0 {
		return fmt.Errorf("Istio present but verify-install failed: %d of %d objects are not well", faults, len(objects)) //nolint:staticcheck // a proper name
	}
	_, _ = fmt.Fprintln(c.Out, "✔ Istio is installed and verified successfully")
	return nil
}

// expected are the objects that the installation was made of, by the values
// that it was made with.
func expected(ctx context.Context, cl *cluster.Cluster) ([]manifests.Object, error) {
	cm, err := cl.Kube.CoreV1().ConfigMaps(cl.ControlNamespace).Get(ctx, manifests.ConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("Istio is not installed: there is no control plane in namespace %s", cl.ControlNamespace) //nolint:staticcheck // a proper name
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cluster.ErrConnect, err)
	}
	var values map[string]any
	if err := yaml.Unmarshal([]byte(cm.Data["values"]), &values); err != nil {
		return nil, fmt.Errorf("ConfigMap %s: values: %w", manifests.ConfigMap, err)
	}
	// Only names are compared: whose the certificates are makes no difference.
	delete(values, "identity")
	objects, err := manifests.Render(manifests.Release{Namespace: cl.ControlNamespace, Values: values})
	if err != nil {
		return nil, err
	}
	crds, err := manifests.CRDs()
	if err != nil {
		return nil, err
	}
	for _, d := range crds {
		objects = append(objects, d.Object)
	}
	manifests.SortForApply(objects)
	return objects, nil
}

func present(ctx context.Context, cl *cluster.Cluster, mapper meta.RESTMapper, o manifests.Object) error {
	got, err := cl.Get(ctx, mapper, o)
	if apierrors.IsNotFound(err) {
		return errors.New("not found")
	}
	if err != nil {
		return err
	}
	switch o.GetKind() {
	case "CustomResourceDefinition":
		if !established(got) {
			return errors.New("not established")
		}
	case "Deployment":
		raw, err := json.Marshal(got.Object)
		if err != nil {
			return err
		}
		var d appsv1.Deployment
		if err := json.Unmarshal(raw, &d); err != nil {
			return err
		}
		return check.DeploymentReady(&d)
	}
	return nil
}
