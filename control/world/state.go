package world

import (
	"maps"
	"sort"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/weftmesh/weft/internal/smiapi"
	"github.com/weftmesh/weft/mesh"
)

// table is a Table that is copied before a write once it has been published.
type table[T any] struct {
	m         Table[T]
	published bool
}

func (t *table[T]) own() {
	if t.published {
		t.m, t.published = maps.Clone(t.m), false
	}
}

func (t *table[T]) put(ref mesh.Ref, obj T, at site) (old Item[T], existed bool) {
	t.own()
	old, existed = t.m[ref]
	t.m[ref] = Item[T]{obj, at.origin, at.place}
	return old, existed
}

// site is where an object was said.
type site struct {
	origin mesh.Origin
	place  *Place
}

// moved says whether an item was said elsewhere.
func moved[T any](old Item[T], at site) bool {
	return old.Origin != at.origin || layout(old.Place) != layout(at.place)
}

func layout(p *Place) uint64 {
	if p == nil {
		return 0
	}
	return p.Layout
}

func (t *table[T]) remove(ref mesh.Ref) (old Item[T], existed bool) {
	if old, existed = t.m[ref]; existed {
		t.own()
		delete(t.m, ref)
	}
	return old, existed
}

func (t *table[T]) publish() Table[T] {
	t.published = true
	return t.m
}

func newTable[T any]() table[T] { return table[T]{m: Table[T]{}} }

// state is what the Store's goroutine owns.
type state struct {
	namespaces table[*corev1.Namespace]
	services   table[*corev1.Service]
	slices     table[*discoveryv1.EndpointSlice]
	pods       table[*corev1.Pod]
	splits     table[*smiapi.TrafficSplit]
	routes     gatewayTables
	grants     table[*gwv1.ReferenceGrant]
	istio      istioTables
	linkerd    linkerdTables
	problems   map[scopeKey][]mesh.Problem

	endpoints *endpointIndex
}

type scopeKey struct{ source, scope string }

func newState(trustDomain string) *state {
	s := &state{
		namespaces: newTable[*corev1.Namespace](), services: newTable[*corev1.Service](),
		slices: newTable[*discoveryv1.EndpointSlice](), pods: newTable[*corev1.Pod](),
		splits: newTable[*smiapi.TrafficSplit](), routes: newGatewayTables(),
		grants: newTable[*gwv1.ReferenceGrant](), istio: newIstioTables(), linkerd: newLinkerdTables(), problems: map[scopeKey][]mesh.Problem{},
	}
	s.endpoints = newEndpointIndex(s, trustDomain)
	return s
}

// apply takes one event in; it reports whether a World or an endpoint set may
// have changed by it.
func (s *state) apply(e Event) (world, endpoints bool) {
	switch e.op {
	case opPut:
		world, endpoints = s.put(e.obj, site{e.origin, e.place})
	case opDelete:
		world, endpoints = s.delete(e.kind, e.ref)
	case opProblems:
		k := scopeKey{e.source, e.scope}
		world = !sameProblems(s.problems[k], e.problems)
		if len(e.problems) == 0 {
			delete(s.problems, k)
		} else {
			s.problems[k] = e.problems
		}
	case opSynced:
	}
	return world, endpoints
}

func refOf(o metav1.Object) mesh.Ref {
	return mesh.Ref{Namespace: o.GetNamespace(), Name: o.GetName()}
}

func (s *state) put(o metav1.Object, at site) (world, endpoints bool) {
	ref := refOf(o)
	switch o := o.(type) {
	case *corev1.Namespace:
		old, had := s.namespaces.put(ref, o, at)
		return !had || moved(old, at) || !sameMeta(old.Obj, o), false
	case *corev1.Service:
		old, had := s.services.put(ref, o, at)
		changed := !had || moved(old, at) || !sameService(old.Obj, o)
		if changed {
			s.endpoints.service(ref)
		}
		return changed, changed
	case *discoveryv1.EndpointSlice:
		old, had := s.slices.put(ref, o, at)
		if had {
			s.endpoints.slice(ref, old.Obj, false)
		}
		s.endpoints.slice(ref, o, true)
		return s.sliceShapes(o) && (!had || !sameShape(old.Obj, o)), true
	case *corev1.Pod:
		old, had := s.pods.put(ref, o, at)
		changed := !had || moved(old, at) || !samePod(old.Obj, o)
		if changed {
			if had {
				s.endpoints.pod(ref, old.Obj, false)
			}
			s.endpoints.pod(ref, o, true)
		}
		return changed, changed
	case *smiapi.TrafficSplit:
		old, had := s.splits.put(ref, o, at)
		return !had || moved(old, at) || !sameSplit(old.Obj, o), false
	case *gwv1.HTTPRoute, *gwv1.GRPCRoute, *gwv1.TLSRoute, *gwv1.TCPRoute:
		return s.routes.put(o, at), false
	case *gwv1.ReferenceGrant:
		old, had := s.grants.put(ref, o, at)
		return !had || moved(old, at) || !sameGrant(old.Obj, o), false
	}
	return s.istio.put(o, at) || s.linkerd.put(o, at), false
}

func (s *state) delete(kind Kind, ref mesh.Ref) (world, endpoints bool) {
	switch kind {
	case KindNamespace:
		_, had := s.namespaces.remove(ref)
		return had, false
	case KindService:
		_, had := s.services.remove(ref)
		if had {
			s.endpoints.service(ref)
		}
		return had, had
	case KindEndpointSlice:
		old, had := s.slices.remove(ref)
		if had {
			s.endpoints.slice(ref, old.Obj, false)
		}
		return had && s.sliceShapes(old.Obj), had
	case KindPod:
		old, had := s.pods.remove(ref)
		if had {
			s.endpoints.pod(ref, old.Obj, false)
		}
		return had, had
	case KindTrafficSplit:
		_, had := s.splits.remove(ref)
		return had, false
	case KindHTTPRoute, KindGRPCRoute, KindTLSRoute, KindTCPRoute:
		return s.routes.delete(kind, ref), false
	case KindReferenceGrant:
		_, had := s.grants.remove(ref)
		return had, false
	}
	return s.istio.delete(kind, ref) || s.linkerd.delete(kind, ref), false
}

// sliceShapes says whether the translators read the slice: only where the
// service selects no pods, so that the slices alone tell which pods serve it.
func (s *state) sliceShapes(o *discoveryv1.EndpointSlice) bool {
	svc, ok := s.services.m[mesh.Ref{Namespace: o.Namespace, Name: o.Labels[discoveryv1.LabelServiceName]}]
	return !ok || len(svc.Obj.Spec.Selector) == 0
}

// snapshot publishes everything as a World.
func (s *state) snapshot(revision uint64) *World {
	w := &World{
		Revision: revision, Namespaces: s.namespaces.publish(), Services: s.services.publish(),
		EndpointSlices: s.slices.publish(), Pods: s.pods.publish(), TrafficSplits: s.splits.publish(),
		ReferenceGrants: s.grants.publish(),
	}
	s.routes.publish(w)
	s.istio.publish(w)
	s.linkerd.publish(w)
	keys := make([]scopeKey, 0, len(s.problems))
	for k := range s.problems {
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool {
		return keys[i].source < keys[j].source || keys[i].source == keys[j].source && keys[i].scope < keys[j].scope
	})
	for _, k := range keys {
		w.Problems = append(w.Problems, s.problems[k]...)
	}
	mesh.SortProblems(w.Problems)
	return w
}

// takeEndpoints computes the sets that have changed since the last call.
func (s *state) takeEndpoints() map[mesh.EndpointKey]*mesh.EndpointSet { return s.endpoints.take() }

// Build makes a World, and the endpoint sets that belong to it, of events at
// once and without a Store: for tools that work offline.
func Build(trustDomain string, events ...Event) (*World, map[mesh.EndpointKey]*mesh.EndpointSet) {
	s := newState(trustDomain)
	for _, e := range events {
		s.apply(e)
	}
	return s.snapshot(1), s.takeEndpoints()
}
