package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	authv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/manifests"
)

// A node reports its state at least every five minutes.
const heartbeat = 5*time.Minute + 10*time.Second

func preSetup(e *env) Category {
	ns := e.control()
	first := []Check{
		{Description: "control plane namespace does not already exist", Hint: "pre-ns", Run: func(ctx context.Context) error {
			_, err := e.cluster.Kube.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
			switch {
			case err == nil:
				return fmt.Errorf("the %q namespace already exists", ns)
			case apierrors.IsNotFound(err):
				return nil
			}
			return err
		}},
		{Description: "no other control plane is installed", Hint: "pre-ns", Run: func(ctx context.Context) error {
			hook, err := e.cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			return fmt.Errorf("there is one in namespace %q already", hook.Labels[manifests.ControlPlane])
		}},
	}
	last := Check{Description: "no clock skew detected", Warning: true, Hint: "pre-k8s-clock-skew", Run: e.clockSkew}
	return Category{"pre-kubernetes-setup", slices.Concat(first, e.permissions(), []Check{last})}
}

// permissions are what the user must be allowed to.
func (e *env) permissions() []Check {
	can := func(description, verb, namespace string, resources ...[2]string) Check {
		return Check{Description: description, Hint: "pre-k8s", Run: func(ctx context.Context) error {
			var faults []error
			for _, r := range resources {
				faults = append(faults, e.can(ctx, verb, namespace, r[0], r[1]))
			}
			return errors.Join(faults...)
		}}
	}
	ns := e.control()
	return []Check{
		can("can create non-namespaced resources", "create", "", [2]string{"", "namespaces"}, [2]string{"rbac.authorization.k8s.io", "clusterroles"},
			[2]string{"rbac.authorization.k8s.io", "clusterrolebindings"}, [2]string{"apiextensions.k8s.io", "customresourcedefinitions"},
			[2]string{"admissionregistration.k8s.io", "mutatingwebhookconfigurations"}, [2]string{"admissionregistration.k8s.io", "validatingwebhookconfigurations"}),
		can("can create ServiceAccounts", "create", ns, [2]string{"", "serviceaccounts"}),
		can("can create Services", "create", ns, [2]string{"", "services"}),
		can("can create Deployments", "create", ns, [2]string{"apps", "deployments"}),
		can("can create ConfigMaps", "create", ns, [2]string{"", "configmaps"}),
		can("can create Secrets", "create", ns, [2]string{"", "secrets"}),
		can("can read Secrets", "get", ns, [2]string{"", "secrets"}),
	}
}

// can asks whether the user may do something.
func (e *env) can(ctx context.Context, verb, namespace, group, resource string) error {
	review := &authv1.SelfSubjectAccessReview{Spec: authv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Namespace: namespace},
	}}
	got, err := e.cluster.Kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if !got.Status.Allowed {
		reason := ""
		if got.Status.Reason != "" {
			reason = ": " + got.Status.Reason
		}
		return fmt.Errorf("not authorized to %s %s%s", verb, resource, reason)
	}
	return nil
}

// clockSkew compares this machine's clock with the nodes' reports.
func (e *env) clockSkew(ctx context.Context) error {
	nodes, err := e.cluster.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	now := e.now()
	var faults []error
	for _, n := range nodes.Items {
		for _, c := range n.Status.Conditions {
			if c.Type != corev1.NodeReady || c.Status != corev1.ConditionTrue || c.LastHeartbeatTime.IsZero() {
				continue
			}
			if d := now.Sub(c.LastHeartbeatTime.Time); d > heartbeat || d < -10*time.Second {
				faults = append(faults, fmt.Errorf("the clock of node %s, or this machine's, is off: its last report is from %s", n.Name, c.LastHeartbeatTime.UTC().Format(time.RFC3339)))
			}
		}
	}
	return errors.Join(faults...)
}
