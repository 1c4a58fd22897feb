package world

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// The functions of this file say whether a new form of an object means the
// same to the translators, so that a status that is written, a heartbeat or a
// readiness makes no new World.

func sameMeta(a, b metav1.Object) bool {
	at, bt := a.GetCreationTimestamp(), b.GetCreationTimestamp()
	return maps.Equal(a.GetLabels(), b.GetLabels()) && maps.Equal(a.GetAnnotations(), b.GetAnnotations()) &&
		at.Equal(&bt) && a.GetGeneration() == b.GetGeneration()
}

func sameService(a, b *corev1.Service) bool {
	return sameMeta(a, b) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

func sameSplit(a, b *smiapi.TrafficSplit) bool {
	return sameMeta(a, b) && a.Service == b.Service && slices.Equal(a.Backends, b.Backends) && slices.Equal(a.Matches, b.Matches)
}

func sameGrant(a, b *gwv1.ReferenceGrant) bool {
	return sameMeta(a, b) && equality.Semantic.DeepEqual(a.Spec, b.Spec)
}

func samePod(a, b *corev1.Pod) bool {
	return sameMeta(a, b) && a.UID == b.UID && (a.DeletionTimestamp == nil) == (b.DeletionTimestamp == nil) &&
		a.Spec.ServiceAccountName == b.Spec.ServiceAccountName && a.Spec.NodeName == b.Spec.NodeName && a.Spec.HostNetwork == b.Spec.HostNetwork &&
		slices.Equal(a.Status.PodIPs, b.Status.PodIPs) && a.Status.PodIP == b.Status.PodIP && Ended(a) == Ended(b) &&
		equality.Semantic.DeepEqual(a.OwnerReferences, b.OwnerReferences) &&
		sameContainers(a.Spec.Containers, b.Spec.Containers) && sameContainers(a.Spec.InitContainers, b.Spec.InitContainers)
}

// Ended says whether the pod's containers are done, and its address free for others.
func Ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func sameContainers(a, b []corev1.Container) bool {
	return slices.EqualFunc(a, b, func(x, y corev1.Container) bool { return x.Name == y.Name && slices.Equal(x.Ports, y.Ports) })
}

// sameShape compares what a slice says but for the conditions of its endpoints.
func sameShape(a, b *discoveryv1.EndpointSlice) bool {
	return a.Labels[discoveryv1.LabelServiceName] == b.Labels[discoveryv1.LabelServiceName] &&
		equality.Semantic.DeepEqual(a.Ports, b.Ports) &&
		slices.EqualFunc(a.Endpoints, b.Endpoints, func(x, y discoveryv1.Endpoint) bool {
			return slices.Equal(x.Addresses, y.Addresses) && equality.Semantic.DeepEqual(x.TargetRef, y.TargetRef)
		})
}

func sameProblems(a, b []mesh.Problem) bool { return slices.Equal(a, b) }
