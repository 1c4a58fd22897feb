package kube

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The functions of this file keep of an object what the mesh reads: in a large
// cluster the rest is most of a control plane's memory.

// keptAnnotations are the prefixes of the annotations that any family reads.
var keptAnnotations = []string{"config.linkerd.io/", "linkerd.io/", "weft.mesh/", "istio.io/", "sidecar.istio.io/", "networking.istio.io/", "traffic.sidecar.istio.io/", "proxy.istio.io/", "viz.linkerd.io/", "retry.linkerd.io/", "timeout.linkerd.io/", "balancer.linkerd.io/", "balancer.alpha.linkerd.io/", "service.kubernetes.io/"}

// strip keeps the metadata that the mesh reads.
func strip(m metav1.ObjectMeta) metav1.ObjectMeta {
	out := metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Generation: m.Generation,
		CreationTimestamp: m.CreationTimestamp, DeletionTimestamp: m.DeletionTimestamp, Labels: m.Labels,
	}
	for k, v := range m.Annotations {
		for _, p := range keptAnnotations {
			if strings.HasPrefix(k, p) {
				if out.Annotations == nil {
					out.Annotations = map[string]string{}
				}
				out.Annotations[k] = v
				break
			}
		}
	}
	return out
}

func stripNamespace(obj any) (any, error) {
	if o, ok := obj.(*corev1.Namespace); ok {
		return &corev1.Namespace{ObjectMeta: strip(o.ObjectMeta)}, nil
	}
	return obj, nil
}

func stripService(obj any) (any, error) {
	o, ok := obj.(*corev1.Service)
	if !ok {
		return obj, nil
	}
	s := &o.Spec
	return &corev1.Service{ObjectMeta: strip(o.ObjectMeta), Spec: corev1.ServiceSpec{
		Ports: s.Ports, Selector: s.Selector, ClusterIP: s.ClusterIP, ClusterIPs: s.ClusterIPs, Type: s.Type,
		ExternalName: s.ExternalName, PublishNotReadyAddresses: s.PublishNotReadyAddresses,
	}}, nil
}

func stripSlice(obj any) (any, error) {
	o, ok := obj.(*discoveryv1.EndpointSlice)
	if !ok {
		return obj, nil
	}
	m := strip(o.ObjectMeta)
	m.Labels = nil
	if name, ok := o.Labels[discoveryv1.LabelServiceName]; ok {
		m.Labels = map[string]string{discoveryv1.LabelServiceName: name}
	}
	out := &discoveryv1.EndpointSlice{ObjectMeta: m, AddressType: o.AddressType, Ports: o.Ports}
	for _, e := range o.Endpoints {
		kept := discoveryv1.Endpoint{Addresses: e.Addresses, Conditions: e.Conditions, Zone: e.Zone}
		if t := e.TargetRef; t != nil {
			kept.TargetRef = &corev1.ObjectReference{Kind: t.Kind, Namespace: t.Namespace, Name: t.Name, UID: t.UID}
		}
		out.Endpoints = append(out.Endpoints, kept)
	}
	return out, nil
}

func stripPod(obj any) (any, error) {
	o, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	m := strip(o.ObjectMeta)
	for _, r := range o.OwnerReferences {
		if r.Controller != nil && *r.Controller {
			m.OwnerReferences = []metav1.OwnerReference{{Kind: r.Kind, Name: r.Name, Controller: r.Controller}}
		}
	}
	return &corev1.Pod{
		ObjectMeta: m,
		Spec: corev1.PodSpec{
			NodeName: o.Spec.NodeName, ServiceAccountName: o.Spec.ServiceAccountName, HostNetwork: o.Spec.HostNetwork,
			Containers: containers(o.Spec.Containers), InitContainers: containers(o.Spec.InitContainers),
		},
		Status: corev1.PodStatus{Phase: o.Status.Phase, PodIP: o.Status.PodIP, PodIPs: o.Status.PodIPs},
	}, nil
}

func containers(in []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, 0, len(in))
	for _, c := range in {
		out = append(out, corev1.Container{Name: c.Name, Ports: c.Ports})
	}
	return out
}

// stripCRD keeps the name, the served versions and the conditions.
func stripCRD(obj any) (any, error) {
	o, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return obj, nil
	}
	served, established := crdState(o)
	versions := make([]any, 0, len(served))
	for _, v := range served {
		versions = append(versions, map[string]any{"name": v, "served": true})
	}
	status := "False"
	if established {
		status = "True"
	}
	out := &unstructured.Unstructured{Object: map[string]any{
		"spec":   map[string]any{"versions": versions},
		"status": map[string]any{"conditions": []any{map[string]any{"type": "Established", "status": status}}},
	}}
	out.SetAPIVersion(o.GetAPIVersion())
	out.SetKind(o.GetKind())
	out.SetName(o.GetName())
	out.SetResourceVersion(o.GetResourceVersion())
	return out, nil
}

// drop removes the bulky parts of an object of a CRD that nobody reads.
func drop(o *unstructured.Unstructured) {
	o.SetManagedFields(nil)
	unstructured.RemoveNestedField(o.Object, "status")
	unstructured.RemoveNestedField(o.Object, "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
}
