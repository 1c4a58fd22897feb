package check

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	regv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/weftmesh/weft/inject"
	"github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/manifests"
)

func dataPlane(e *env) Category {
	return Category{e.tool + "-data-plane", []Check{
		{Description: "data plane namespace exists", Fatal: true, Hint: "data-plane", Run: func(ctx context.Context) error {
			if e.namespace == "" {
				return nil
			}
			_, err := e.cluster.Kube.CoreV1().Namespaces().Get(ctx, e.namespace, metav1.GetOptions{})
			return exists("Namespace", e.namespace, err)
		}},
		// Before the next one, which ends everything where all pods slipped through.
		{Description: "pods of meshed namespaces have a proxy", Warning: true, Hint: "data-plane-unmeshed", Run: e.unmeshed},
		{Description: "data plane proxies are ready", Retry: true, Fatal: true, Hint: "data-plane", Run: func(ctx context.Context) error {
			pods, err := e.meshedPods(ctx)
			if err != nil {
				return err
			}
			if len(pods) == 0 {
				return fmt.Errorf("no pod with a proxy in %s", e.where())
			}
			var faults []error
			for _, p := range pods {
				faults = append(faults, proxyReady(p))
			}
			return errors.Join(faults...)
		}},
		{Description: "data plane and cli versions match", Warning: true, Hint: "data-plane-version", Run: func(ctx context.Context) error {
			pods, err := e.meshedPods(ctx)
			if err != nil {
				return err
			}
			other := map[string][]string{}
			for _, p := range pods {
				if v := p.Annotations[inject.ProxyVersion]; v != version.Get() {
					other[v] = append(other[v], p.Namespace+"/"+p.Name)
				}
			}
			var faults []error
			for _, v := range slices.Sorted(maps.Keys(other)) {
				faults = append(faults, fmt.Errorf("running %s but cli running %s: %s", v, version.Get(), strings.Join(other[v], ", ")))
			}
			return errors.Join(faults...)
		}},
	}}
}

func (e *env) where() string {
	if e.namespace == "" {
		return "any namespace"
	}
	return "namespace " + e.namespace
}

func (e *env) meshedPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := e.cluster.Kube.CoreV1().Pods(e.namespace).List(ctx, metav1.ListOptions{LabelSelector: inject.ControlNamespaceLabel + "=" + e.control()})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list.Items, gone), nil
}

// gone says whether a pod has ended, or is about to.
func gone(p corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func proxyReady(p corev1.Pod) error {
	name := inject.ProxyContainerOf(&p.Spec)
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for _, s := range list {
			if s.Name == name && s.Ready {
				return nil
			}
		}
	}
	return fmt.Errorf("pod %s/%s: container %s is not ready", p.Namespace, p.Name, name)
}

// unmeshed finds pods that started without a proxy though they should have one,
// such as those that are older than the switch, or that were made while the
// webhook was down.
func (e *env) unmeshed(ctx context.Context) error {
	pods, err := e.cluster.Kube.CoreV1().Pods(e.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	list, err := e.cluster.Kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	h, err := e.cluster.Kube.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, manifests.Injector, metav1.GetOptions{})
	if err != nil {
		return exists("MutatingWebhookConfiguration", manifests.Injector, err)
	}
	namespaces := map[string]inject.Namespace{}
	for _, n := range list.Items {
		if !asked(h, n) {
			continue
		}
		namespaces[n.Name] = inject.Namespace{Name: n.Name, Labels: n.Labels, Annotations: n.Annotations}
	}
	var faults []error
	for _, p := range pods.Items {
		ns, ok := namespaces[p.Namespace]
		if !ok || gone(p) {
			continue
		}
		if d := inject.Decide(inject.Target{Pod: &p, Namespace: ns}, e.control()); d.Inject {
			faults = append(faults, fmt.Errorf("pod %s/%s has none (%s); restart its workload", p.Namespace, p.Name, d.Detail))
		}
	}
	return errors.Join(faults...)
}

// asked says whether the API server asks the injector about pods of a namespace.
func asked(h *regv1.MutatingWebhookConfiguration, n corev1.Namespace) bool {
	for i := range h.Webhooks {
		// Without a selector it asks about all; one that it has taken is valid.
		s, err := metav1.LabelSelectorAsSelector(h.Webhooks[i].NamespaceSelector)
		if h.Webhooks[i].NamespaceSelector == nil || err == nil && s.Matches(labels.Set(n.Labels)) {
			return true
		}
	}
	return false
}
