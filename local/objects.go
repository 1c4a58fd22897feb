package local

import (
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// meshedAnnotation tells the control plane that a proxy stands beside a
// workload that no injector has seen.
const meshedAnnotation = "weft.mesh/meshed"

// serviceObject is a Service of one TCP port. protocol is an appProtocol, or
// empty to let the proxies find out.
func serviceObject(namespace, name string, port int, protocol string) *corev1.Service {
	p := corev1.ServicePort{Name: "main", Port: int32(port), TargetPort: intstr.FromInt32(int32(port))}
	if protocol != "" {
		p.AppProtocol = &protocol
	}
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{p}},
	}
}

// podObject is the record of one process with a proxy beside it.
func podObject(namespace, name, account string, labels map[string]string, inbound int) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, Annotations: map[string]string{meshedAnnotation: "true"}},
		Spec: corev1.PodSpec{
			ServiceAccountName: account,
			Containers:         []corev1.Container{{Name: "process", Ports: []corev1.ContainerPort{{ContainerPort: int32(inbound)}}}},
		},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "127.0.0.1"},
	}
}

// sliceObject says that the process stands behind a service. Every process has
// a slice of its own, since on loopback they differ by port, not by address.
func sliceObject(namespace, service, pod string, inbound int) *discoveryv1.EndpointSlice {
	ready, name, port := true, "main", int32(inbound)
	return &discoveryv1.EndpointSlice{
		TypeMeta:    metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"},
		ObjectMeta:  metav1.ObjectMeta{Namespace: namespace, Name: service + "-" + pod, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses:  []string{"127.0.0.1"},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: pod},
		}},
	}
}

// host is the DNS name under which proxies know a service.
func host(namespace, service string, port int) string {
	return service + "." + namespace + ".svc." + clusterDomain + ":" + strconv.Itoa(port)
}

const clusterDomain = "cluster.local"
