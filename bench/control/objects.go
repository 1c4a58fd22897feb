package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/weftmesh/weft/manifests"
)

const (
	namespaces       = 40
	endpointsEach    = 5
	rootNamespace    = "weft-system"
	servicePort      = 80
	loaders          = 24 // objects that are written at a time
	crdGroup         = "apiextensions.k8s.io"
	networkingGroup  = "networking.istio.io"
	firstServiceIP   = "10.97.0.0"
	firstNewService  = "10.111.0.0"
	firstEndpointIP  = "10.200.0.0"
	ephemeralServing = 8080
)

var (
	crds            = schema.GroupVersionResource{Group: crdGroup, Version: "v1", Resource: "customresourcedefinitions"}
	virtualServices = schema.GroupVersionResource{Group: networkingGroup, Version: "v1", Resource: "virtualservices"}
	rules           = schema.GroupVersionResource{Group: networkingGroup, Version: "v1", Resource: "destinationrules"}
	sidecars        = schema.GroupVersionResource{Group: networkingGroup, Version: "v1", Resource: "sidecars"}
)

// meshSize says how large a mesh is.
type meshSize struct {
	services int
	pods     bool
}

func namespaceOf(i int) string { return fmt.Sprintf("ns-%d", i%namespaces) }
func nameOf(i int) string      { return fmt.Sprintf("svc-%d", i) }
func hostOf(i int) string      { return nameOf(i) + "." + namespaceOf(i) + ".svc.cluster.local" }
func podName(i, e int) string  { return fmt.Sprintf("%s-%d", nameOf(i), e) }

// addressAt counts addresses up from a first one.
func addressAt(first string, n int) netip.Addr {
	b := netip.MustParseAddr(first).As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

func serviceIP(i int) netip.Addr     { return addressAt(firstServiceIP, i+1) }
func endpointIP(i, e int) netip.Addr { return addressAt(firstEndpointIP, i*8+e+1) }

// load fills the API server.
func (a *apiServer) load(ctx context.Context, size meshSize) error {
	if err := a.define(ctx); err != nil {
		return err
	}
	names := []string{rootNamespace}
	for n := range namespaces {
		names = append(names, namespaceOf(n))
	}
	for _, n := range names {
		_, err := a.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loaders)
	for i := range size.services {
		g.Go(func() error { return a.loadService(ctx, i, size.pods) })
	}
	return g.Wait()
}

// define makes the custom resources and waits until they are served.
func (a *apiServer) define(ctx context.Context) error {
	list, err := manifests.CRDs()
	if err != nil {
		return err
	}
	for _, c := range list {
		_, err := a.dynamic.Resource(crds).Create(ctx, &c.Object.Unstructured, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for _, r := range []schema.GroupVersionResource{virtualServices, rules, sidecars} {
		if err := until(ctx, 30*time.Second, r.Resource+" are served", func() error {
			_, err := a.dynamic.Resource(r).List(ctx, metav1.ListOptions{Limit: 1})
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func (a *apiServer) loadService(ctx context.Context, i int, pods bool) error {
	if _, err := a.client.CoreV1().Services(namespaceOf(i)).Create(ctx, service(nameOf(i), namespaceOf(i), serviceIP(i)), metav1.CreateOptions{}); err != nil {
		return err
	}
	if pods {
		for e := range endpointsEach {
			if err := a.loadPod(ctx, i, e); err != nil {
				return err
			}
		}
	}
	if _, err := a.client.DiscoveryV1().EndpointSlices(namespaceOf(i)).Create(ctx, endpointSlice(i, endpointsEach, pods), metav1.CreateOptions{}); err != nil {
		return err
	}
	if i%2 == 1 {
		return nil
	}
	if _, err := a.dynamic.Resource(virtualServices).Namespace(namespaceOf(i)).Create(ctx, virtualService(i, 90, ""), metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := a.dynamic.Resource(rules).Namespace(namespaceOf(i)).Create(ctx, destinationRule(i, 100, ""), metav1.CreateOptions{})
	return err
}

func service(name, namespace string, ip netip.Addr) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: map[string]string{"app": name}},
		Spec: corev1.ServiceSpec{ClusterIP: ip.String(), Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Name: "http", Port: servicePort}}}}
}

func endpointSlice(i, n int, pods bool) *discoveryv1.EndpointSlice {
	yes, port, name, proto := true, int32(ephemeralServing), "http", corev1.ProtocolTCP
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: nameOf(i) + "-abcde", Namespace: namespaceOf(i), Labels: map[string]string{discoveryv1.LabelServiceName: nameOf(i), discoveryv1.LabelManagedBy: "bench"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port, Protocol: &proto}},
	}
	for e := range n {
		ep := discoveryv1.Endpoint{Addresses: []string{endpointIP(i, e).String()}, Conditions: discoveryv1.EndpointConditions{Ready: &yes, Serving: &yes}}
		if pods && e < endpointsEach {
			ep.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: namespaceOf(i), Name: podName(i, e)}
		}
		s.Endpoints = append(s.Endpoints, ep)
	}
	return s
}

// loadPod makes a running pod with a sidecar; a kubelet would do the second step.
func (a *apiServer) loadPod(ctx context.Context, i, e int) error {
	version := "v1"
	if e == endpointsEach-1 {
		version = "v2"
	}
	pods := a.client.CoreV1().Pods(namespaceOf(i))
	p, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName(i, e), Namespace: namespaceOf(i), Labels: map[string]string{"app": nameOf(i), "version": version, "pod-template-hash": "6d4cf56db6"}},
		Spec: corev1.PodSpec{NodeName: fmt.Sprintf("node-%d", i%50), ServiceAccountName: "default", Containers: []corev1.Container{
			{Name: "app", Image: "registry.example/app:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: ephemeralServing}}, Env: []corev1.EnvVar{{Name: "MODE", Value: "production"}}},
			{Name: "weft-proxy", Image: "registry.example/proxy:1"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	ip := endpointIP(i, e).String()
	status := fmt.Sprintf(`{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q}],"conditions":[{"type":"Ready","status":"True"}]}}`, ip, ip)
	_, err = pods.Patch(ctx, p.Name, types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
	return err
}

func custom(kind, name, namespace, resourceVersion string, spec map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": networkingGroup + "/v1", "kind": kind, "spec": spec}}
	u.SetName(name)
	u.SetNamespace(namespace)
	u.SetResourceVersion(resourceVersion)
	return u
}

// virtualService has three routes: by header, split by weight, and one with a
// timeout and retries.
func virtualService(i int, weight int64, resourceVersion string) *unstructured.Unstructured {
	to := func(subset string, weight int64) map[string]any {
		d := map[string]any{"destination": map[string]any{"host": nameOf(i), "subset": subset}}
		if weight > 0 {
			d["weight"] = weight
		}
		return d
	}
	return custom("VirtualService", nameOf(i), namespaceOf(i), resourceVersion, map[string]any{
		"hosts": []any{nameOf(i)},
		"http": []any{
			map[string]any{"match": []any{map[string]any{"headers": map[string]any{"x-canary": map[string]any{"exact": "true"}}}}, "route": []any{to("v2", 0)}},
			map[string]any{"match": []any{map[string]any{"uri": map[string]any{"prefix": "/api"}}}, "route": []any{to("v1", weight), to("v2", 100-weight)}},
			map[string]any{"route": []any{to("v1", 0)}, "timeout": "5s", "retries": map[string]any{"attempts": int64(3), "perTryTimeout": "2s", "retryOn": "5xx,reset"}},
		},
	})
}

func destinationRule(i int, connections int64, resourceVersion string) *unstructured.Unstructured {
	return custom("DestinationRule", nameOf(i), namespaceOf(i), resourceVersion, map[string]any{
		"host": nameOf(i),
		"trafficPolicy": map[string]any{
			"connectionPool":   map[string]any{"tcp": map[string]any{"maxConnections": connections}, "http": map[string]any{"http1MaxPendingRequests": int64(100)}},
			"outlierDetection": map[string]any{"consecutive5xxErrors": int64(5), "interval": "10s", "baseEjectionTime": "30s"},
		},
		"subsets": []any{
			map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}},
			map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}},
		},
	})
}

// rootSidecar is the setting of the whole mesh that says what becomes of
// unknown destinations.
func rootSidecar(mode, resourceVersion string) *unstructured.Unstructured {
	return custom("Sidecar", "default", rootNamespace, resourceVersion, map[string]any{"outboundTrafficPolicy": map[string]any{"mode": mode}})
}
