package status

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	k8stest "k8s.io/client-go/testing"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// replicas are control planes that share a cluster.
type replicas struct {
	t       *testing.T
	leases  *fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
}

func newReplicas(t *testing.T) replicas {
	t.Helper()
	obj := &unstructured.Unstructured{}
	if err := obj.UnmarshalJSON([]byte(routeJSON)); err != nil {
		t.Fatal(err)
	}
	return replicas{t, fake.NewClientset(),
		dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{resources["HTTPRoute"]: "HTTPRouteList"}, obj)}
}

// replica is one of them. Each has its own way to the leases, which can be cut.
type replica struct {
	results chan translate.Result
	stop    func()
	client  *fake.Clientset

	mu  sync.Mutex
	cut bool
}

func (r *replica) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
}

func (rs replicas) start(name string) *replica {
	rs.t.Helper()
	r := &replica{results: make(chan translate.Result), client: fake.NewClientset()}
	shared := k8stest.ObjectReaction(rs.leases.Tracker())
	r.client.PrependReactor("*", "leases", func(a k8stest.Action) (bool, runtime.Object, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.cut {
			return true, nil, apierrors.NewServiceUnavailable("cut off")
		}
		return shared(a)
	})
	ctx, cancel := context.WithCancel(rs.t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Settings{Client: r.client, Dynamic: rs.dynamic, Namespace: "weft-system", Identity: name, Log: slog.New(slog.DiscardHandler),
			// A lease counts in whole seconds. Whoever has it must not lose it to a
			// pause of the machine.
			times: times{lease: 4 * time.Second, renew: 3 * time.Second, retry: 100 * time.Millisecond, check: 100 * time.Millisecond}}, r.results)
	}()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if !errors.Is(err, context.Canceled) {
					rs.t.Errorf("%s ended with %v", name, err)
				}
			case <-time.After(20 * time.Second):
				rs.t.Errorf("%s does not end", name)
			}
		})
	}
	rs.t.Cleanup(r.stop)
	return r
}

func (rs replicas) until(what string, ok func() bool) {
	rs.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			rs.t.Fatalf("in vain waited for: %s", what)
		}
	}
}

func (rs replicas) holder() string {
	o, err := rs.leases.CoordinationV1().Leases("weft-system").Get(rs.t.Context(), Lease, metav1.GetOptions{})
	if err != nil || o.Spec.HolderIdentity == nil {
		return ""
	}
	return *o.Spec.HolderIdentity
}

// message is what our entry in the route's status says of its references.
func (rs replicas) message() string {
	rs.t.Helper()
	o, err := rs.dynamic.Resource(resources["HTTPRoute"]).Namespace("default").Get(rs.t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		rs.t.Fatal(err)
	}
	var parents []parent
	list, _, err := unstructured.NestedSlice(o.Object, "status", "parents")
	if err != nil {
		rs.t.Fatal(err)
	}
	if err := convert(list, &parents); err != nil {
		rs.t.Fatal(err)
	}
	for _, p := range parents {
		if p.ControllerName == Controller {
			return p.Conditions[1].Message
		}
	}
	return ""
}

func saying(message string) translate.Result {
	return translate.Result{Statuses: []translate.RouteStatus{{Kind: "HTTPRoute", Route: mesh.Ref{Namespace: "default", Name: "api"}, Generation: 3,
		Parents: []fragment.ParentStatus{{Index: 1, Service: mesh.Ref{Namespace: "default", Name: "api"}, Port: 80,
			Accepted: fragment.Condition{Status: true, Reason: "Accepted"}, ResolvedRefs: fragment.Condition{Reason: "BackendNotFound", Message: message}}}}}}
}

// TestTheNextReplicaLeads: of two replicas one writes; when it ends, the other
// writes what it has learnt meanwhile, without waiting for a new result.
func TestTheNextReplicaLeads(t *testing.T) {
	rs := newReplicas(t)
	a := rs.start("a")
	rs.until("a leads", func() bool { return rs.holder() == "a" })
	b := rs.start("b")
	a.results <- saying("one")
	b.results <- saying("one, by b")
	rs.until("the leader has written", func() bool { return rs.message() == "one" })
	b.results <- saying("two, by b")
	a.results <- saying("two")
	rs.until("the leader has written again", func() bool { return rs.message() == "two" })
	a.stop()
	rs.until("b leads", func() bool { return rs.holder() == "b" })
	rs.until("b has written", func() bool { return rs.message() == "two, by b" })
}

// TestALeaderThatIsCutOffComesBack: it loses the lease, takes no part meanwhile,
// and is a candidate again when it reaches the API server.
func TestALeaderThatIsCutOffComesBack(t *testing.T) {
	rs := newReplicas(t)
	a := rs.start("a")
	rs.until("a leads", func() bool { return rs.holder() == "a" })
	b := rs.start("b")
	b.results <- saying("by b")
	a.setCut(true)
	rs.until("b has taken over", func() bool { return rs.holder() == "b" && rs.message() == "by b" })
	// a has given up before its lease ended. It is told a result while it does
	// not lead, and must keep it to itself.
	a.results <- saying("by a")
	a.setCut(false)
	b.results <- saying("by b again")
	rs.until("b writes on", func() bool { return rs.message() == "by b again" })
	b.stop()
	rs.until("a leads again", func() bool { return rs.holder() == "a" && rs.message() == "by a" })
}

// TestAnOverwrittenStatusIsWrittenAgain: somebody else empties the status; no
// new result comes.
func TestAnOverwrittenStatusIsWrittenAgain(t *testing.T) {
	rs := newReplicas(t)
	a := rs.start("a")
	a.results <- saying("one")
	rs.until("it is written", func() bool { return rs.message() == "one" })
	api := rs.dynamic.Resource(resources["HTTPRoute"]).Namespace("default")
	o, err := api.Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedSlice(o.Object, []any{}, "status", "parents"); err != nil {
		t.Fatal(err)
	}
	if _, err := api.UpdateStatus(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	rs.until("it is written again", func() bool { return rs.message() == "one" })
}
