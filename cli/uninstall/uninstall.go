// Package uninstall is the command `uninstall`: it prints what belongs to the
// control plane, for kubectl to delete, and deletes nothing.
package uninstall

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/manifests"
)

// kinds are what an installation can consist of, cluster-wide and in its namespace.
var kinds = []struct {
	schema.GroupVersionResource
	kind       string
	namespaced bool
}{
	{v1("admissionregistration.k8s.io", "mutatingwebhookconfigurations"), "MutatingWebhookConfiguration", false},
	{v1("admissionregistration.k8s.io", "validatingwebhookconfigurations"), "ValidatingWebhookConfiguration", false},
	{v1("policy", "poddisruptionbudgets"), "PodDisruptionBudget", true},
	{v1("apps", "deployments"), "Deployment", true},
	{v1("", "services"), "Service", true},
	{v1("", "configmaps"), "ConfigMap", true},
	{v1("", "secrets"), "Secret", true},
	{v1("rbac.authorization.k8s.io", "rolebindings"), "RoleBinding", true},
	{v1("rbac.authorization.k8s.io", "roles"), "Role", true},
	{v1("rbac.authorization.k8s.io", "clusterrolebindings"), "ClusterRoleBinding", false},
	{v1("rbac.authorization.k8s.io", "clusterroles"), "ClusterRole", false},
	{v1("", "serviceaccounts"), "ServiceAccount", true},
	{cluster.CustomResourceDefinitions, "CustomResourceDefinition", false},
	{v1("", "namespaces"), "Namespace", false},
}

// v1 is a resource in version v1 of its group.
func v1(group, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: "v1", Resource: resource}
}

// New makes the command.
func New(c console.Console, flags *cluster.Flags) *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "Print what belongs to the control plane, for kubectl delete",
		Example: "  " + c.Tool.Name + " uninstall | kubectl delete -f -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cl, err := flags.Connect(c)
			if err != nil {
				return err
			}
			if !force {
				if err := nobodyNeedsIt(cmd.Context(), c, cl); err != nil {
					return err
				}
			}
			objects, err := Objects(cmd.Context(), c, cl)
			if err != nil {
				return err
			}
			if len(objects) == 0 {
				return fmt.Errorf("nothing of a control plane in namespace %s was found", cl.ControlNamespace)
			}
			return manifests.Write(c.Out, objects)
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "even while pods with proxies are there")
	return cmd
}

// nobodyNeedsIt refuses while there are pods with proxies.
func nobodyNeedsIt(ctx context.Context, c console.Console, cl *cluster.Cluster) error {
	counts, err := Injected(ctx, cl)
	if err != nil {
		return err
	}
	if len(counts) == 0 {
		return nil
	}
	for _, ns := range slices.Sorted(maps.Keys(counts)) {
		c.Printf("namespace %s: %d pods with a proxy\n", ns, counts[ns])
	}
	return fmt.Errorf("please uninject these pods first (remove the switch and restart the workloads), or use --force")
}

// Injected counts the pods with a proxy of this control plane, by namespace.
func Injected(ctx context.Context, cl *cluster.Cluster) (map[string]int, error) {
	pods, err := cl.Kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: inject.ControlNamespaceLabel + "=" + cl.ControlNamespace})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cluster.ErrConnect, err)
	}
	out := map[string]int{}
	for _, p := range pods.Items {
		// Pods on their way out need nothing any more.
		if p.DeletionTimestamp == nil && inject.ProxyContainerOf(&p.Spec) != "" {
			out[p.Namespace]++
		}
	}
	return out, nil
}

// Objects are the bare names of all that is to be deleted, in an order that works.
func Objects(ctx context.Context, c console.Console, cl *cluster.Cluster) ([]manifests.Object, error) {
	var out []manifests.Object
	selector := manifests.PartOf + "=" + manifests.PartOfWeft
	for _, k := range kinds {
		opts := metav1.ListOptions{LabelSelector: selector}
		if k.Resource != cluster.CustomResourceDefinitions.Resource {
			opts.LabelSelector += "," + manifests.ControlPlane + "=" + cl.ControlNamespace
		}
		r := cl.Dynamic.Resource(k.GroupVersionResource)
		namespace := ""
		if k.namespaced {
			namespace = cl.ControlNamespace
		}
		list, err := r.Namespace(namespace).List(ctx, opts)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", k.Resource, err)
		}
		for _, it := range list.Items {
			if k.kind == "CustomResourceDefinition" {
				keep, err := inUse(ctx, cl, it.GetName())
				if err != nil {
					return nil, err
				}
				if keep {
					c.Printf("%s is kept: there are Gateways in the cluster, whose controller relies on it\n", it.GetName())
					continue
				}
			}
			o := manifests.Object{}
			o.SetAPIVersion(k.GroupVersion().String())
			o.SetKind(k.kind)
			o.SetName(it.GetName())
			o.SetNamespace(it.GetNamespace())
			out = append(out, o)
		}
	}
	return out, nil
}

// inUse says whether a shared definition serves others: those of the Gateway
// API do where there are Gateways, which the mesh has none of.
func inUse(ctx context.Context, cl *cluster.Cluster, name string) (bool, error) {
	crds, err := manifests.CRDs()
	if err != nil {
		return false, err
	}
	i := slices.IndexFunc(crds, func(d manifests.CRD) bool { return d.Name == name })
	if i < 0 || !crds[i].Shared {
		return false, nil
	}
	_, exists, err := cl.CRDLabels(ctx, "gateways.gateway.networking.k8s.io")
	return exists, err
}
