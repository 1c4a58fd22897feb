package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

// Controller is the name under which this mesh's entries stand in a status.
const Controller = "weft.mesh/control"

// resources are what is written, by kind.
var resources = map[string]schema.GroupVersionResource{
	"HTTPRoute": resource("httproutes"), "GRPCRoute": resource("grpcroutes"), "TLSRoute": resource("tlsroutes"), "TCPRoute": resource("tcproutes"),
	string(world.KindPolicyRoute): {Group: linkerdapi.PolicyGroup, Version: linkerdapi.HTTPRouteVersions[0], Resource: "httproutes"},
}

func resource(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: name}
}

// route names one.
type route struct {
	kind string
	ref  mesh.Ref
}

func (r route) String() string { return r.kind + " " + r.ref.String() }

// Types of conditions (Gateway API, RouteConditionType).
const (
	accepted         = "Accepted"
	resolvedRefs     = "ResolvedRefs"
	partiallyInvalid = "PartiallyInvalid"
)

// errKind means that nobody knows where the status of a kind is written.
var errKind = errors.New("unknown kind of route")

// older are the versions that a cluster may serve alone, the newest first.
var older = map[string][]string{
	"HTTPRoute": {"v1beta1"}, "TLSRoute": {"v1alpha3", "v1alpha2"}, "TCPRoute": {"v1alpha2"},
	string(world.KindPolicyRoute): linkerdapi.HTTPRouteVersions[1:],
}

// find reads an object in the newest version that is served.
func (w *Writer) find(ctx context.Context, s translate.RouteStatus) (dynamic.ResourceInterface, *unstructured.Unstructured, error) {
	gvr, known := w.served[s.Kind]
	if known {
		api := w.client.Resource(gvr).Namespace(s.Route.Namespace)
		obj, err := api.Get(ctx, s.Route.Name, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return api, obj, err
		}
	}
	if gvr, known = resources[s.Kind]; !known {
		return nil, nil, fmt.Errorf("%w: %q", errKind, s.Kind)
	}
	// What is not found may be of a version that is not served.
	var err error
	for _, v := range append([]string{gvr.Version}, older[s.Kind]...) {
		gvr.Version = v
		api := w.client.Resource(gvr).Namespace(s.Route.Namespace)
		var obj *unstructured.Unstructured
		if obj, err = api.Get(ctx, s.Route.Name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			if err == nil {
				w.served[s.Kind] = gvr
			}
			return api, obj, err
		}
	}
	return nil, nil, err
}

// Writer writes statuses and remembers what it wrote.
type Writer struct {
	client  dynamic.Interface
	log     *slog.Logger
	written map[route]translate.RouteStatus
	// served are the versions in which objects of a kind were found.
	served map[string]schema.GroupVersionResource
}

// NewWriter makes a Writer that has written nothing yet.
func NewWriter(client dynamic.Interface, log *slog.Logger) *Writer {
	return &Writer{client: client, log: log, written: map[route]translate.RouteStatus{}, served: map[string]schema.GroupVersionResource{}}
}

// Write brings the statuses of all routes up to date. It does what it can and
// returns every failure.
func (w *Writer) Write(ctx context.Context, statuses []translate.RouteStatus) error {
	var faults []error
	want := map[route]bool{}
	for _, s := range statuses {
		r := route{s.Kind, s.Route}
		want[r] = true
		if old, ok := w.written[r]; ok && reflect.DeepEqual(old, s) {
			continue
		}
		if err := w.one(ctx, s); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", r, err))
			continue
		}
		w.written[r] = s
	}
	for r := range w.written {
		if want[r] {
			continue
		}
		// It names no service any more, or is gone: our entries go.
		if err := w.one(ctx, translate.RouteStatus{Kind: r.kind, Route: r.ref, Generation: -1}); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", r, err))
			continue
		}
		delete(w.written, r)
	}
	return errors.Join(faults...)
}

// Check forgets what was written and does not stand there any more, as where
// somebody else has replaced a status or restored an object, so that the next
// Write writes it again.
func (w *Writer) Check(ctx context.Context) error {
	var faults []error
	for kind, gvr := range w.served {
		if !w.has(kind) {
			continue
		}
		list := metav1.ListOptions{Limit: page}
		for {
			got, err := w.client.Resource(gvr).List(ctx, list)
			if err != nil {
				faults = append(faults, fmt.Errorf("list %s: %w", gvr.Resource, err))
				break
			}
			for i := range got.Items {
				if err := w.compare(kind, &got.Items[i]); err != nil {
					faults = append(faults, err)
				}
			}
			if list.Continue = got.GetContinue(); list.Continue == "" {
				break
			}
		}
	}
	return errors.Join(faults...)
}

// page is how many routes are compared at a time.
const page = 200

func (w *Writer) has(kind string) bool {
	for r := range w.written {
		if r.kind == kind {
			return true
		}
	}
	return false
}

func (w *Writer) compare(kind string, obj *unstructured.Unstructured) error {
	r := route{kind, mesh.Ref{Namespace: obj.GetNamespace(), Name: obj.GetName()}}
	s, ok := w.written[r]
	if !ok || !judged(obj, s) {
		return nil
	}
	changed, err := merge(obj, s, time.Now())
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	if changed {
		w.log.Info("a status is not as it was written; writing it again", "route", r.String())
		delete(w.written, r)
	}
	return nil
}

// judged says whether a status is about this form of the object. A newer form is
// judged by a newer result.
func judged(obj *unstructured.Unstructured, s translate.RouteStatus) bool {
	return (s.Generation < 0 || obj.GetGeneration() == s.Generation) && (s.UID == "" || string(obj.GetUID()) == s.UID)
}

// one writes one status, merged with what is there. Another writer's change in
// between makes it read again, a few times.
func (w *Writer) one(ctx context.Context, s translate.RouteStatus) error {
	var err error
	for range 5 {
		var api dynamic.ResourceInterface
		var obj *unstructured.Unstructured
		if api, obj, err = w.find(ctx, s); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		}
		if !judged(obj, s) {
			return nil
		}
		var changed bool
		if changed, err = merge(obj, s, time.Now()); err != nil || !changed {
			return err
		}
		if _, err = api.UpdateStatus(ctx, obj, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		}
	}
	return err
}

// parent is one entry of status.parents.
type parent struct {
	ParentRef      map[string]any     `json:"parentRef"`
	ControllerName string             `json:"controllerName"`
	Conditions     []metav1.Condition `json:"conditions"`
}

// merge replaces our entries in the object and says whether anything changed.
// Conditions that stay as they are keep the time of their transition.
func merge(obj *unstructured.Unstructured, s translate.RouteStatus, now time.Time) (bool, error) {
	var have []parent
	if list, ok, err := unstructured.NestedSlice(obj.Object, "status", "parents"); err != nil {
		return false, err
	} else if ok {
		if err := convert(list, &have); err != nil {
			return false, err
		}
	}
	refs, _, err := unstructured.NestedSlice(obj.Object, "spec", "parentRefs")
	if err != nil {
		return false, err
	}
	var next, mine, were []parent
	for _, p := range have {
		if p.ControllerName != Controller {
			next = append(next, p)
		} else {
			were = append(were, p)
		}
	}
	for _, p := range s.Parents {
		if p.Index >= len(refs) {
			continue
		}
		ref, ok := refs[p.Index].(map[string]any)
		if !ok {
			continue
		}
		mine = append(mine, parent{ParentRef: ref, ControllerName: Controller, Conditions: conditions(p, s.Generation, old(have, ref), now)})
	}
	// The order of the controllers is nobody's: who insisted on it would write
	// for ever beside another that does so too.
	if normal(mine) == normal(were) {
		return false, nil
	}
	next = append(next, mine...)
	var list []any
	if err := convert(next, &list); err != nil {
		return false, err
	}
	if list == nil {
		list = []any{}
	}
	return true, unstructured.SetNestedSlice(obj.Object, list, "status", "parents")
}

func old(have []parent, ref map[string]any) []metav1.Condition {
	for _, p := range have {
		// Compared as JSON: numbers have another type after decoding.
		if p.ControllerName == Controller && normal(p.ParentRef) == normal(ref) {
			return p.Conditions
		}
	}
	return nil
}

func conditions(p fragment.ParentStatus, generation int64, before []metav1.Condition, now time.Time) []metav1.Condition {
	var out []metav1.Condition
	add := func(kind string, c fragment.Condition) {
		n := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: c.Reason, Message: c.Message,
			ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now.UTC().Truncate(time.Second))}
		if c.Status {
			n.Status = metav1.ConditionTrue
		}
		for _, b := range before {
			if b.Type == kind && b.Status == n.Status {
				n.LastTransitionTime = b.LastTransitionTime
			}
		}
		out = append(out, n)
	}
	add(accepted, p.Accepted)
	add(resolvedRefs, p.ResolvedRefs)
	if p.PartiallyInvalid.Status {
		add(partiallyInvalid, p.PartiallyInvalid)
	}
	return out
}

// normal is a form in which equal values are equal strings.
func normal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// convert copies by way of JSON.
func convert(from, to any) error {
	b, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, to)
}
