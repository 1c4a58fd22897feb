package check

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/manifests"
)

// exists turns "not found" into a sentence about the object.
func exists(kind, name string, err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("missing %s: %s", kind, name)
	}
	return err
}

// definitions checks the custom resources that the mesh reads.
func definitions(e *env) Category {
	return Category{e.tool + "-crd", []Check{crdsExist(e)}}
}

func crdsExist(e *env) Check {
	return Check{Description: "control plane CustomResourceDefinitions exist", Fatal: true, Hint: "config-crds", Run: func(ctx context.Context) error {
		all, err := manifests.CRDs()
		if err != nil {
			return err
		}
		for _, d := range all {
			if _, err := e.cluster.Dynamic.Resource(cluster.CustomResourceDefinitions).Get(ctx, d.Name, metav1.GetOptions{}); err != nil {
				return exists("CustomResourceDefinition", d.Name, err)
			}
		}
		return nil
	}}
}

// config checks that everything that the manifests hold is there.
func config(e *env) Category {
	get := metav1.GetOptions{}
	ns := e.control()
	check := func(description, kind, name string, run func(ctx context.Context) error) Check {
		return Check{Description: description, Fatal: true, Hint: "config", Run: func(ctx context.Context) error {
			return exists(kind, name, run(ctx))
		}}
	}
	return Category{e.tool + "-config", []Check{
		check("control plane Namespace exists", "Namespace", ns, func(ctx context.Context) error {
			_, err := e.cluster.Kube.CoreV1().Namespaces().Get(ctx, ns, get)
			return err
		}),
		check("control plane ClusterRoles exist", "ClusterRole", manifests.ClusterRole, func(ctx context.Context) error {
			_, err := e.cluster.Kube.RbacV1().ClusterRoles().Get(ctx, manifests.ClusterRole, get)
			return err
		}),
		check("control plane ClusterRoleBindings exist", "ClusterRoleBinding", manifests.ClusterRole, func(ctx context.Context) error {
			b, err := e.cluster.Kube.RbacV1().ClusterRoleBindings().Get(ctx, manifests.ClusterRole, get)
			if err == nil && (len(b.Subjects) != 1 || b.Subjects[0].Namespace != ns) {
				return fmt.Errorf("ClusterRoleBinding %s is not for the ServiceAccount in namespace %s", manifests.ClusterRole, ns)
			}
			return err
		}),
		check("control plane ServiceAccounts exist", "ServiceAccount", manifests.Deployment, func(ctx context.Context) error {
			_, err := e.cluster.Kube.CoreV1().ServiceAccounts(ns).Get(ctx, manifests.Deployment, get)
			return err
		}),
		crdsExist(e),
		check("control plane MutatingWebhookConfigurations exist", "MutatingWebhookConfiguration", manifests.Injector, func(ctx context.Context) error {
			_, err := e.cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, get)
			return err
		}),
		check("control plane ValidatingWebhookConfigurations exist", "ValidatingWebhookConfiguration", manifests.Validator, func(ctx context.Context) error {
			_, err := e.cluster.Kube.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, manifests.Validator, get)
			return err
		}),
	}}
}
