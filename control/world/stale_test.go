package world

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/weftmesh/weft/mesh"
)

var apiKey = mesh.EndpointKey{Service: mesh.Ref{Namespace: "shop", Name: "api"}, Port: 80}

// born is a pod of a StatefulSet: the name stays, the UID does not.
func born(uid, ip string) *corev1.Pod {
	p := pod("api-0", ip, true)
	p.UID = types.UID(uid)
	return p
}

// naming is a slice of the service api whose one endpoint names its pod.
func naming(uid, ip string) *discoveryv1.EndpointSlice {
	s := slice("s", "api", 8080, ip)
	s.Endpoints[0].TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "api-0", UID: types.UID(uid)}
	return s
}

func put(o metav1.Object) Event { return Put(o, mesh.Origin{}) }

// TestAnEndpointWithoutItsPodIsNoEndpoint: slices and pods come by different
// watches, in any order. An endpoint whose pod is not there would be dialled
// without mutual TLS, at an address that may be another's by now.
func TestAnEndpointWithoutItsPodIsNoEndpoint(t *testing.T) {
	inStore(t, []Event{put(service("api", 80))}, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		want := func(step string, n int) {
			t.Helper()
			r.pass(time.Second)
			got := s.Endpoints(apiKey).Endpoints
			if len(got) != n {
				t.Fatalf("%s: %d endpoints, want %d: %+v", step, len(got), n, got)
			}
			for _, e := range got {
				if !e.Meshed() {
					t.Errorf("%s: %+v is not meshed", step, e)
				}
			}
		}
		send(put(naming("u1", "10.0.0.1")))
		want("the slice comes before the pod", 0)
		send(put(born("u1", "10.0.0.1")))
		want("the pod has come", 1)
		send(Delete(KindPod, mesh.Ref{Namespace: "shop", Name: "api-0"}))
		want("the pod is gone, the slice lags", 0)
		send(put(born("u2", "10.0.0.2")))
		want("a pod of the same name came, the slice names the one before", 0)
		send(put(naming("u2", "10.0.0.2")))
		want("the slice has followed", 1)
		if a := s.Endpoints(apiKey).Endpoints[0].Address.String(); a != "10.0.0.2:8080" {
			t.Errorf("endpoint %s", a)
		}
		ended := born("u2", "10.0.0.2")
		ended.Status.Phase = corev1.PodFailed
		send(put(ended))
		want("the pod was evicted, the slice lags", 0)
	})
}

func TestAPodThatIsDeletedDrainsBeforeItsSliceSaysSo(t *testing.T) {
	first := []Event{put(service("api", 80)), put(born("u1", "10.0.0.1")), put(naming("u1", "10.0.0.1"))}
	inStore(t, first, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		p := born("u1", "10.0.0.1")
		p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		send(put(p))
		r.pass(time.Second)
		if got := s.Endpoints(apiKey).Endpoints; len(got) != 1 || got[0].Health != mesh.Draining {
			t.Fatalf("%+v, want it to drain", got)
		}
	})
}

// TestAReusedAddressIsItsNewPods: the address of a pod that is going away is
// given to another while the first still is listed.
func TestAReusedAddressIsItsNewPods(t *testing.T) {
	going := pod("old", "10.0.0.1", true)
	going.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	first := []Event{put(service("api", 80)), put(pod("old", "10.0.0.1", true)), put(slice("s", "api", 8080, "10.0.0.1"))}
	inStore(t, first, func(t *testing.T, send func(...Event), r *recorder, s *Store) {
		want := func(step, name string) {
			t.Helper()
			r.pass(time.Second)
			if got := s.Endpoints(apiKey).Endpoints; len(got) != 1 || got[0].Workload.Name != name {
				t.Fatalf("%s: %+v, want %s", step, got, name)
			}
		}
		send(put(going))
		want("going", "old")
		send(put(pod("new", "10.0.0.1", true)))
		want("both are listed", "new")
		relabelled := going.DeepCopy()
		relabelled.Labels = map[string]string{"x": "y"}
		send(put(relabelled))
		want("the old one is written once more", "new")
		send(Delete(KindPod, mesh.Ref{Namespace: "shop", Name: "old"}))
		want("the old one is gone", "new")
		send(put(pod("third", "10.0.0.1", true)), Delete(KindPod, mesh.Ref{Namespace: "shop", Name: "third"}))
		want("another came and went", "new")
	})
}
