package world

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

func service(name string, ports ...int32) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}, Spec: corev1.ServiceSpec{Selector: map[string]string{"app": name}}}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: p})
	}
	return s
}

func slice(name, svc string, port int32, addrs ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: svc}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Port: &port}},
	}
	for _, a := range addrs {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{a}})
	}
	return s
}

func pod(name, ip string, meshed bool) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop"}, Spec: corev1.PodSpec{ServiceAccountName: "sa"}, Status: corev1.PodStatus{PodIP: ip}}
	if meshed {
		p.Spec.InitContainers = []corev1.Container{{Name: "linkerd-proxy"}}
	}
	return p
}

// recorder notes what a Store publishes, and when.
type recorder struct {
	mu     sync.Mutex // orders the callbacks and the test for the race detector
	start  time.Time
	worlds []*World
	at     []time.Duration
	sets   []map[mesh.EndpointKey]*mesh.EndpointSet
	setsAt []time.Duration
}

// pass lets false time pass until nothing moves any more.
func (r *recorder) pass(d time.Duration) {
	r.mu.Lock()
	//nolint:staticcheck // the empty section is the point: it orders memory
	r.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
}

// inStore runs a test with a Store that is synced, in false time.
func inStore(t *testing.T, first []Event, test func(t *testing.T, send func(...Event), r *recorder, s *Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(Settings{Sources: []string{"a"}, TrustDomain: "cluster.local"})
		r := &recorder{}
		s.OnWorld(func(w *World) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.worlds, r.at = append(r.worlds, w), append(r.at, time.Since(r.start))
		})
		s.OnEndpoints(func(m map[mesh.EndpointKey]*mesh.EndpointSet) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.sets, r.setsAt = append(r.sets, m), append(r.setsAt, time.Since(r.start))
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		send := func(e ...Event) {
			if err := s.Send(ctx, e...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		send(first...)
		if len(r.worlds) != 0 || s.Current() != nil {
			t.Fatal("a World was published before the source was synced")
		}
		send(Synced("a"))
		if len(r.worlds) != 1 || r.worlds[0].Revision != 1 || len(r.sets) != 1 {
			t.Fatalf("want one World and one set of endpoints after the sync, got %d and %d", len(r.worlds), len(r.sets))
		}
		r.start, r.at, r.setsAt, r.sets = time.Now(), nil, nil, nil
		r.worlds = nil
		test(t, send, r, s)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
		if err := s.Send(context.Background(), Synced("a")); !errors.Is(err, ErrClosed) {
			t.Errorf("Send after the end: %v, want ErrClosed", err)
		}
	})
}

func TestOneChangeWaitsForTheQuietTime(t *testing.T) {
	inStore(t, nil, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		send(Put(service("api", 80), mesh.Origin{}))
		r.pass(9 * time.Millisecond)
		if len(r.worlds) != 0 {
			t.Fatal("a World came before the quiet time was over")
		}
		r.pass(time.Second)
		if len(r.worlds) != 1 || r.at[0] != 10*time.Millisecond || r.worlds[0].Revision != 2 {
			t.Fatalf("got %d Worlds at %v", len(r.worlds), r.at)
		}
		if s.Current() != r.worlds[0] {
			t.Error("Current is not the last World")
		}
	})
}

func TestABurstIsOneWorld(t *testing.T) {
	inStore(t, nil, func(t *testing.T, send func(...Event), r *recorder, _ *Store) {
		for i := range 5 {
			send(Put(service("api", 80+int32(i)), mesh.Origin{}))
			r.pass(5 * time.Millisecond)
		}
		r.pass(time.Second)
		// The last change came at 20 ms.
		if len(r.worlds) != 1 || r.at[0] != 30*time.Millisecond {
			t.Fatalf("got %d Worlds at %v, want one at 30ms", len(r.worlds), r.at)
		}
	})
}

func TestABurstWithoutEndIsCutAtTheMaximum(t *testing.T) {
	inStore(t, nil, func(t *testing.T, send func(...Event), r *recorder, _ *Store) {
		for i := range 50 {
			send(Put(service("api", 80+int32(i)), mesh.Origin{}))
			r.pass(5 * time.Millisecond)
		}
		r.pass(time.Second)
		if len(r.worlds) != 3 || r.at[0] != 100*time.Millisecond {
			t.Fatalf("got %d Worlds at %v, want the first at 100ms", len(r.worlds), r.at)
		}
	})
}

func TestEndpointsBypassTheWorld(t *testing.T) {
	key := mesh.EndpointKey{Service: mesh.Ref{Namespace: "shop", Name: "api"}, Port: 80}
	first := []Event{Put(service("api", 80), mesh.Origin{}), Put(pod("api-1", "10.0.0.1", true), mesh.Origin{}), Put(slice("s", "api", 8080, "10.0.0.1"), mesh.Origin{})}
	inStore(t, first, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		set := s.Endpoints(key)
		if len(set.Endpoints) != 1 || set.Endpoints[0].Identity.ServiceAccount != "sa" || set.Endpoints[0].Workload.Name != "api-1" {
			t.Fatalf("the endpoint is not joined with its pod: %+v", set)
		}
		send(Put(slice("s", "api", 8080, "10.0.0.1", "10.0.0.2"), mesh.Origin{}))
		r.pass(time.Second)
		if len(r.sets) != 1 || r.setsAt[0] > 2*time.Millisecond || len(r.sets[0]) != 1 || len(r.sets[0][key].Endpoints) != 2 {
			t.Fatalf("got %v at %v", r.sets, r.setsAt)
		}
		if len(r.worlds) != 0 {
			t.Fatal("a change of endpoints made a World")
		}
		// The same again is no change at all.
		send(Put(slice("s", "api", 8080, "10.0.0.1", "10.0.0.2"), mesh.Origin{}))
		r.pass(time.Second)
		if len(r.sets) != 1 {
			t.Fatal("an equal slice was published")
		}
		// A pod that comes after its endpoint is joined then; it is a workload too.
		send(Put(pod("api-2", "10.0.0.2", true), mesh.Origin{}))
		r.pass(time.Second)
		if len(r.worlds) != 1 || len(r.sets) != 2 || !r.sets[1][key].Endpoints[1].Meshed() {
			t.Fatalf("the late pod is not joined: %d Worlds, %v", len(r.worlds), r.sets)
		}
		// Status of a pod that means nothing to the translators.
		p := pod("api-2", "10.0.0.2", true)
		p.ResourceVersion, p.Status.Conditions = "7", []corev1.PodCondition{{Type: corev1.PodReady}}
		send(Put(p, mesh.Origin{}))
		r.pass(time.Second)
		if len(r.worlds) != 1 || len(r.sets) != 2 {
			t.Fatal("a status made a World or a set")
		}
		send(Delete(KindService, key.Service))
		r.pass(time.Second)
		if got, ok := r.sets[2][key]; !ok || got != nil || s.Endpoints(key) != nil {
			t.Fatalf("the set of a deleted service is still there: %v", r.sets[2])
		}
	})
}

func TestAPublishedWorldNeverChanges(t *testing.T) {
	inStore(t, []Event{Put(service("api", 80), mesh.Origin{})}, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		w := s.Current()
		send(Put(service("web", 80), mesh.Origin{}), Delete(KindService, mesh.Ref{Namespace: "shop", Name: "api"}))
		r.pass(time.Second)
		if len(w.Services) != 1 || len(r.worlds) != 1 || len(r.worlds[0].Services) != 1 || r.worlds[0].Services[mesh.Ref{Namespace: "shop", Name: "web"}].Obj == nil {
			t.Fatalf("before %v, after %v", w.Services, r.worlds)
		}
	})
}

func TestProblemsOfSourcesAreReplacedByScope(t *testing.T) {
	inStore(t, nil, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		p := func(f string) []mesh.Problem {
			return []mesh.Problem{problem.New(problem.Malformed, mesh.Origin{File: f}, "", "bad", "")}
		}
		send(Problems("a", "x", p("x")), Problems("a", "y", p("y")))
		r.pass(time.Second)
		if got := s.Current().Problems; len(got) != 2 || got[0].Origin.File != "x" {
			t.Fatalf("got %v", got)
		}
		send(Problems("a", "x", nil))
		r.pass(time.Second)
		if got := s.Current().Problems; len(got) != 1 || got[0].Origin.File != "y" || s.Current().Revision != 3 {
			t.Fatalf("got %v", got)
		}
	})
}

func TestASliceThatChangesItsServiceLeavesTheOldOne(t *testing.T) {
	a, b := mesh.EndpointKey{Service: mesh.Ref{Namespace: "shop", Name: "a"}, Port: 80}, mesh.EndpointKey{Service: mesh.Ref{Namespace: "shop", Name: "b"}, Port: 80}
	first := []Event{Put(service("a", 80), mesh.Origin{}), Put(service("b", 80), mesh.Origin{}), Put(slice("s", "a", 80, "10.0.0.1"), mesh.Origin{})}
	inStore(t, first, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		send(Put(slice("s", "b", 80, "10.0.0.1"), mesh.Origin{}))
		r.pass(time.Second)
		if len(s.Endpoints(a).Endpoints) != 0 || len(s.Endpoints(b).Endpoints) != 1 {
			t.Fatalf("a: %v, b: %v", s.Endpoints(a), s.Endpoints(b))
		}
	})
}
