package translate_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/seedtest"
	"github.com/weftmesh/weft/mesh"
)

// corpus reads the objects of every golden case, each file an alternative.
func corpus(t testing.TB) [][]world.Event {
	t.Helper()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var out [][]world.Event
	for _, name := range cases {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, eventsOf(t, a))
	}
	return append(out, generated(t))
}

// generated are objects that concern each other across namespaces, by patterns
// and by everything else through which one may depend on another.
func generated(t testing.TB) []world.Event {
	t.Helper()
	text := ""
	add := func(format string, args ...any) { text += "---\n" + fmt.Sprintf(format, args...) }
	for n := range 3 {
		add("apiVersion: v1\nkind: Namespace\nmetadata: {name: n%d, annotations: {config.linkerd.io/opaque-ports: \"90,x!\"}}\n", n)
		for i := range 4 {
			add("apiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: n%d, annotations: {balancer.linkerd.io/failure-accrual: consecutive}}\nspec: {clusterIP: 10.0.%d.%d, selector: {app: s%d}, ports: [{name: http, port: 80, targetPort: http}, {name: odd, port: 90}]}\n", i, n, n, i/2, i)
			add("apiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: n%d, labels: {app: s%d, version: v1}}\nspec: {containers: [{name: app, ports: [{name: http, containerPort: 8080}]}, {name: weft-proxy}]}\nstatus: {podIP: 10.1.%d.%d}\n", i, n, i, i%2, i)
			add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v%d, namespace: n%d}\nspec: {hosts: [s%d, s%d.n%d], http: [{match: [{uri: {prefix: /x}}], route: [{destination: {host: s%d.n%d.svc.cluster.local, subset: v1}}]}, {route: [{destination: {host: s%d}}], timeout: 3s}]}\n", i, n, i, (i+1)%4, (n+1)%3, (i+2)%4, (n+2)%3, i)
			add("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d%d, namespace: n%d}\nspec: {host: s%d.n%d.svc.cluster.local, trafficPolicy: {connectionPool: {tcp: {maxConnections: %d}}, outlierDetection: {consecutive5xxErrors: 3}}, subsets: [{name: v1, labels: {version: v1}}]}\n", i, n, i, (n+i)%3, n+i+1)
			add("apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\nmetadata: {name: t%d, namespace: n%d}\nspec: {service: s%d, backends: [{service: s%d, weight: 1}, {service: s%d, weight: 2}]}\n", i, n, i, (i+1)%4, (i+2)%4)
			add("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r%d, namespace: n%d}\nspec: {parentRefs: [{kind: Service, group: \"\", name: s%d, namespace: n%d, port: 80}], rules: [{backendRefs: [{name: s%d, namespace: n%d, port: 80}]}]}\n", i, n, i, (n+i)%3, (i+1)%4, (n+1)%3)
			add("apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {name: s%d.n%d.svc.cluster.local, namespace: n%d}\nspec: {opaquePorts: [\"90\"], routes: [{name: a, condition: {pathRegex: /a}, timeout: 1s}], dstOverrides: [{authority: \"s%d.n%d.svc.cluster.local:80\", weight: 1}]}\n", i, n, (n+i)%3, (i+3)%4, (n+1)%3)
		}
		add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: wide, namespace: n%d}\nspec: {hosts: [\"*.n%d.svc.cluster.local\"], http: [{timeout: 9s, route: [{destination: {host: s0}}]}]}\n", n, n)
		add("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: seldom, namespace: n%d}\nspec: {host: \"*.n%d.svc.cluster.local\", trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n", n, n)
		add("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: never, namespace: n%d}\nspec: {host: \"*.b%d.example.com\", trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n", n, n)
		add("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: own, namespace: n%d}\nspec: {hosts: [own.example.com], addresses: [10.60.0.%d, 10.60.1.0], exportTo: [%q], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n", n, n%2, []string{".", "*", "n0"}[n])
		add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: own, namespace: n%d}\nspec: {hosts: [own.example.com], exportTo: [\".\"], http: [{match: [{port: 81}], timeout: 1s, route: [{destination: {host: own.example.com}}]}, {timeout: 2s, route: [{destination: {host: own.example.com}}]}]}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: parent, namespace: n%d}\nspec: {hosts: [s3], http: [{mirror: {host: s2}, delegate: {name: child, namespace: n%d}}]}\n", n, (n+1)%3)
		add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: child, namespace: n%d}\nspec: {http: [{match: [{uri: {prefix: /c}}], route: [{destination: {host: s1}}]}]}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: wide, namespace: n%d}\nspec: {host: \"*.svc.cluster.local\", trafficPolicy: {loadBalancer: {simple: RANDOM}}}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: n%d}\nspec: {hosts: [a.example.com, \"*.b%d.example.com\"], addresses: [10.0.%d.0], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}\n", n, n%2, n)
		add("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: sel, namespace: n%d}\nspec: {hosts: [sel%d.example.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: STATIC, workloadSelector: {labels: {app: s1}}}\n", n, n)
		add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: out, namespace: n%d}\nspec: {hosts: [a.example.com], http: [{route: [{destination: {host: x.b%d.example.com}}]}]}\n", n, n%2)
		add("apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: p%d, namespace: n%d}\nspec: {address: 10.9.0.%d, labels: {app: s%d}}\n", n, n, n+1, n)
		add("apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: we%d, namespace: n%d, annotations: {istio.io/autoRegistrationGroup: grp}}\nspec: {address: 10.9.1.%d}\n", n, n, n+1)
		add("apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: grp, namespace: n%d}\nspec: {metadata: {labels: {app: s1}}, template: {ports: {http: 8083}, serviceAccount: vm, labels: {security.istio.io/tlsMode: istio}}, probe: {exec: {command: [x]}}}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: WorkloadGroup\nmetadata: {name: idle, namespace: n%d}\nspec: {template: {ports: {http: 0}}}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: net, namespace: n%d}\nspec: {hosts: [net%d.example.com], addresses: [10.70.0.0/16, 10.7%d.0.0/16], ports: [{number: 81, name: tcp}], resolution: DNS, endpoints: [{address: x.example.com, network: far}, {address: y.example.com}]}\n", n, n, n)
		add("apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: nets, namespace: n%d}\nspec: {hosts: [net%d.example.com], tcp: [{match: [{sourceSubnet: 10.1.0.0/16}], route: [{destination: {host: s%d}}]}]}\n", n, (n+1)%3, n)
		add("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: limits, namespace: n%d}\nspec: {host: s%d.n%d.svc.cluster.local, trafficPolicy: {connectionPool: {tcp: {maxConnections: 2}}, outlierDetection: {consecutive5xxErrors: 9, baseEjectionTime: 3s}}}\n", n, n, n)
		add("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: in, namespace: n%d}\nspec: {workloadSelector: {labels: {app: s2}}, egress: [{port: {number: 81, protocol: HTTP}, hosts: [\"*/*\", \"~n0/*\"]}], ingress: [{port: {number: 8080, protocol: GRPC}, defaultEndpoint: 127.0.0.1:1}]}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: one, namespace: n%d}\nspec: {egress: [{hosts: [\"./*\"]}]}\n", n)
		add("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: two, namespace: n%d}\nspec: {egress: [{hosts: [\"*/*\"]}]}\n", n)
		add("apiVersion: policy.linkerd.io/v1beta3\nkind: Server\nmetadata: {name: srv, namespace: n%d}\nspec: {podSelector: {matchLabels: {app: s1}}, port: 8080, proxyProtocol: opaque}\n", n)
		add("apiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: n%d}\nspec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: n%d}], to: [{group: \"\", kind: Service}]}\n", n, (n+2)%3)
		add("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: s3-x, namespace: n%d, labels: {kubernetes.io/service-name: s3}}\naddressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints: [{addresses: [10.1.1.3], targetRef: {kind: Pod, name: p3, namespace: n%d}}]\n", n, n)
	}
	return eventsOf(t, &txtar.Archive{Files: []txtar.File{{Name: "all.yaml", Data: []byte(text)}}})
}

// plainResult is a Result without pointers, to be compared and printed.
func plainResult(t *testing.T, r translate.Result) string {
	t.Helper()
	problems := ""
	for _, p := range r.Problems {
		problems += p.String() + " " + p.Remedy + "\n"
	}
	return marshal(t, r.Mesh) + "\nproblems:\n" + problems + "\nstatuses:\n" + marshal(t, r.Statuses)
}

// TestIncrementalIsBuild: over random edits the incremental results are those
// of a translation from scratch, and what is equal is the same pointer.
func TestIncrementalIsBuild(t *testing.T) {
	chosen := seedtest.Of(t)
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	for n, events := range corpus(t) {
		rnd := rand.New(rand.NewPCG(chosen, uint64(n)))
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			stream := world.NewStream(settings.TrustDomain)
			x := translate.NewIncremental(settings)
			present := map[int]bool{}
			var before translate.Result
			for round := range rounds {
				edits := 1 + rnd.IntN(3)
				if round == 0 {
					edits = len(events)
				}
				var log []string
				for range edits {
					i := rnd.IntN(len(events))
					if present[i] && rnd.IntN(3) > 0 {
						if kind, ref, ok := events[i].About(); ok {
							stream.Apply(world.Delete(kind, ref))
							present[i] = false
							log = append(log, fmt.Sprint("delete ", kind, " ", ref))
							continue
						}
					}
					stream.Apply(events[i].Copy(func(o metav1.Object) {
						if rnd.IntN(2) == 0 { // another age is another precedence
							o.SetCreationTimestamp(metav1.Unix(int64(rnd.IntN(5)), 0))
						}
						if pod, ok := o.(*corev1.Pod); ok && rnd.IntN(4) == 0 {
							pod.DeletionTimestamp = &metav1.Time{}
						}
					}))
					present[i] = true
					kind, ref, _ := events[i].About()
					log = append(log, fmt.Sprint("put ", kind, " ", ref))
				}
				w := stream.World()
				got, want := x.Build(w), translate.Build(w, settings)
				if g, w := plainResult(t, got), plainResult(t, want); g != w {
					t.Fatalf("seed %d, round %d, after %v:\n%s", chosen, round, log, difference(g, w))
				}
				samePointers(t, before.Mesh, got.Mesh)
				before = got
			}
		})
	}
}

func samePointers(t *testing.T, old, next *mesh.Mesh) {
	t.Helper()
	if old == nil {
		return
	}
	for _, s := range next.Services {
		for _, o := range old.Services {
			if o.Ref == s.Ref && o != s && reflect.DeepEqual(o, s) {
				t.Fatalf("service %s is equal and not the same", s.Ref)
			}
		}
	}
	for _, r := range next.Routes {
		for _, o := range old.Routes {
			if o != r && reflect.DeepEqual(o, r) {
				t.Fatalf("route of %s is equal and not the same", r.Service)
			}
		}
	}
}

// TestIncrementalIsLocal: one changed object costs its neighbours alone.
func TestIncrementalIsLocal(t *testing.T) {
	text := ""
	for i := range 100 {
		text += fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: s%d, namespace: n%d}\nspec: {clusterIP: 10.0.0.%d, ports: [{name: http, port: 80}]}\n", i, i%5, i)
		text += fmt.Sprintf("---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v%d, namespace: n%d}\nspec: {hosts: [s%d], http: [{timeout: 3s, route: [{destination: {host: s%d}}]}]}\n", i, i%5, i, i)
	}
	events := eventsOf(t, &txtar.Archive{Files: []txtar.File{{Name: "all.yaml", Data: []byte(text)}}})
	stream := world.NewStream(settings.TrustDomain)
	for _, e := range events {
		stream.Apply(e)
	}
	x := translate.NewIncremental(settings)
	x.Build(stream.World())
	first := x.Work()
	if first.Groups != 100 || first.Objects != 200 {
		t.Fatalf("at first %+v, want 100 groups of 200 objects", first)
	}
	stream.Apply(events[1].Copy(func(metav1.Object) {}))
	x.Build(stream.World())
	if now := x.Work(); now.Groups != first.Groups+1 || now.Objects != first.Objects+2 {
		t.Fatalf("one changed object cost %d groups and %d objects", now.Groups-first.Groups, now.Objects-first.Objects)
	}
}

func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := 0; i < len(a) && i < len(b); i++ {
		if a[i] != b[i] {
			from := max(0, i-12)
			return fmt.Sprintf("line %d\ngot:\n%s\nwant:\n%s", i, strings.Join(a[from:min(len(a), i+8)], "\n"), strings.Join(b[from:min(len(b), i+8)], "\n"))
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(a), len(b))
}
