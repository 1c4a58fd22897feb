package translate_test

import (
	"fmt"
	"reflect"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// large makes a cluster of services with five pods each.
func large(services int) []world.Event {
	var out []world.Event
	yes, port := true, int32(8080)
	name := "http"
	for i := range services {
		ns, svc := fmt.Sprintf("ns-%d", i%20), fmt.Sprintf("svc-%d", i)
		out = append(out, world.Put(&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: svc, Namespace: ns},
			Spec: corev1.ServiceSpec{ClusterIP: fmt.Sprintf("10.%d.%d.1", i/250, i%250), Selector: map[string]string{"app": svc},
				Ports: []corev1.ServicePort{{Name: name, Port: 80}, {Name: "metrics", Port: 9090}}},
		}, mesh.Origin{Kind: "Service", Namespace: ns, Name: svc}))
		slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Name: svc, Namespace: ns, Labels: map[string]string{discoveryv1.LabelServiceName: svc}},
			AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
		for j := range 5 {
			pod := fmt.Sprintf("%s-7d4b9-%d", svc, j)
			ip := fmt.Sprintf("10.%d.%d.%d", 100+i/250, i%250, j+2)
			out = append(out, world.Put(&corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: ns, Labels: map[string]string{"app": svc, "pod-template-hash": "7d4b9"},
					OwnerReferences: []metav1.OwnerReference{{Kind: "ReplicaSet", Name: svc + "-7d4b9", Controller: &yes}}},
				Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}, {Name: "weft-proxy"}}},
				Status: corev1.PodStatus{PodIP: ip},
			}, mesh.Origin{Kind: "Pod", Namespace: ns, Name: pod}))
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod, Namespace: ns}})
		}
		out = append(out, world.Put(slice, mesh.Origin{}))
		if i%10 == 0 {
			out = append(out, world.Put(&smiapi.TrafficSplit{ObjectMeta: metav1.ObjectMeta{Name: svc, Namespace: ns}, Service: svc,
				Backends: []smiapi.Backend{{Service: svc, MilliWeight: 1000}}}, mesh.Origin{Kind: "TrafficSplit", Namespace: ns, Name: svc}))
		}
	}
	return out
}

func TestTranslateIsPureAndOrdered(t *testing.T) {
	events := large(50)
	w1, _ := world.Build(settings.TrustDomain, events...)
	for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
		events[i], events[j] = events[j], events[i]
	}
	w2, _ := world.Build(settings.TrustDomain, events...)
	a, b := translate.Build(w1, settings), translate.Build(w2, settings)
	if !reflect.DeepEqual(a, b) {
		t.Error("equal inputs in another order give other results")
	}
	m, problems := translate.Translate(w1, settings)
	if !reflect.DeepEqual(m, a.Mesh) || len(problems) != 5 || len(m.Workloads) != 250 || len(m.Routes) != 10 {
		t.Errorf("got %d problems, %d workloads, %d routes", len(problems), len(m.Workloads), len(m.Routes))
	}
}

func BenchmarkTranslate(b *testing.B) {
	w, _ := world.Build(settings.TrustDomain, large(2000)...)
	b.ReportAllocs()
	for b.Loop() {
		translate.Translate(w, settings)
	}
}

// BenchmarkTranslateIstio has a VirtualService and a DestinationRule for each of
// a thousand services.
func BenchmarkTranslateIstio(b *testing.B) {
	events := large(2000)
	for i := range 1000 {
		m := metav1.ObjectMeta{Name: fmt.Sprintf("svc-%d", i), Namespace: fmt.Sprintf("ns-%d", i%20)}
		to := &networking.Destination{Host: m.Name, Subset: "v1", Port: &networking.PortSelector{Number: 80}}
		events = append(events,
			world.Put(&istioapi.VirtualService{ObjectMeta: m, Spec: &networking.VirtualService{Hosts: []string{m.Name}, Http: []*networking.HTTPRoute{
				{Match: []*networking.HTTPMatchRequest{{Uri: &networking.StringMatch{MatchType: &networking.StringMatch_Prefix{Prefix: "/v1"}}}}, Route: []*networking.HTTPRouteDestination{{Destination: to}}},
				{Route: []*networking.HTTPRouteDestination{{Destination: to}}}}}}, mesh.Origin{Kind: "VirtualService", Namespace: m.Namespace, Name: m.Name}),
			world.Put(&istioapi.DestinationRule{ObjectMeta: m, Spec: &networking.DestinationRule{Host: m.Name, Subsets: []*networking.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}}},
				TrafficPolicy: &networking.TrafficPolicy{LoadBalancer: &networking.LoadBalancerSettings{LbPolicy: &networking.LoadBalancerSettings_Simple{Simple: networking.LoadBalancerSettings_RANDOM}}}}},
				mesh.Origin{Kind: "DestinationRule", Namespace: m.Namespace, Name: m.Name}))
	}
	w, _ := world.Build(settings.TrustDomain, events...)
	b.ReportAllocs()
	for b.Loop() {
		translate.Translate(w, settings)
	}
}

func BenchmarkBuildWorld(b *testing.B) {
	events := large(2000)
	b.ReportAllocs()
	for b.Loop() {
		world.Build(settings.TrustDomain, events...)
	}
}
