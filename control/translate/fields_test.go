package translate_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/internal/istioapi"
)

// reported are the fields of Istio's API that the mesh does not act on, with all
// that is below them: who writes one is told. Every other field must change what
// some proxy gets.
var reported = map[string]bool{
	"Delay.exponential_delay":                             true,
	"Abort.http2_error":                                   true,
	"TrafficPolicy.tunnel":                                true,
	"TrafficPolicy.proxy_protocol":                        true,
	"RetryBudget.budget_interval":                         true,
	"OutlierDetection.outlier_detection_http_error_codes": true,
	"ClientTLSSettings.credential_name":                   true,
	"ClientTLSSettings.ca_crl":                            true,
	"WorkloadEntry.network":                               true,
	"WorkloadGroup.probe":                                 true,
	"ObjectMeta.annotations":                              true, // of a WorkloadGroup
	"SidecarPort.target_port":                             true,
	"Sidecar.inbound_connection_pool":                     true,
	"IstioIngressListener.connection_pool":                true,
	"IstioIngressListener.bind":                           true,
	"IstioIngressListener.capture_mode":                   true,
	"IstioIngressListener.tls":                            true,
	"IstioEgressListener.bind":                            true,
	"IstioEgressListener.capture_mode":                    true,
	"OutboundTrafficPolicy.egress_proxy":                  true,
}

// TestEveryFieldIsHandledOrReported takes each field of the objects of
// testdata/fields away, one at a time: what the proxies get must change, or what
// users are told. A field of the API that no object there has fails too.
func TestEveryFieldIsHandledOrReported(t *testing.T) {
	samples, err := filepath.Glob("testdata/fields/*.txtar")
	if err != nil || len(samples) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	found := map[string]*finding{}
	for _, name := range samples {
		sample(t, name, found)
	}
	for _, kind := range istioapi.Kinds {
		if !strings.HasPrefix(string(kind.Spec().ProtoReflect().Descriptor().FullName()), "istio.networking.") {
			continue
		}
		everyField(kind.Spec().ProtoReflect().Descriptor(), map[protoreflect.FullName]bool{}, func(name string) {
			switch f := found[name]; {
			case f == nil:
				t.Errorf("%s: %s is in no sample", kind.Name, name)
			case reported[name] && len(f.untold) > 0:
				t.Errorf("%s: %s is taken away, and users are told the same: %s", kind.Name, name, strings.Join(f.untold, ", "))
			case !reported[name] && !f.changes:
				t.Errorf("%s: %s is taken away, and the proxies get the same: %s", kind.Name, name, strings.Join(f.places, ", "))
			}
		})
	}
	for name := range reported {
		if found[name] == nil {
			t.Errorf("%s is in the table, and in no sample", name)
		}
	}
}

// finding is what taking a field away has shown.
type finding struct {
	// changes says that proxies get something else without it at some place.
	changes bool
	// places are all, untold those without which users are told the same.
	places, untold []string
}

// everyField visits the fields of a message and of all below, each once, but
// for those below a reported one.
func everyField(d protoreflect.MessageDescriptor, done map[protoreflect.FullName]bool, visit func(string)) {
	if done[d.FullName()] {
		return
	}
	done[d.FullName()] = true
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		visit(fieldName(fd))
		if fd.IsMap() {
			fd = fd.MapValue()
		}
		if m := fd.Message(); m != nil && !strings.HasPrefix(string(m.FullName()), "google.") && !reported[fieldName(fd)] {
			everyField(m, done, visit)
		}
	}
}

func fieldName(fd protoreflect.FieldDescriptor) string {
	return string(fd.ContainingMessage().Name()) + "." + string(fd.Name())
}

// sample takes every field of the Istio objects of a file away in turn.
func sample(t *testing.T, name string, found map[string]*finding) {
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	events := eventsOf(t, a)
	resources, problems := everything(t, events)
	for i, e := range events {
		var places []place
		var object string
		e.Copy(func(o metav1.Object) {
			if spec := specOf(o); spec != nil {
				object = string(spec.ProtoReflect().Descriptor().Name()) + " " + o.GetName()
				places = placesOf(spec.ProtoReflect(), "spec")
			}
		})
		for n, p := range places {
			edited := append([]world.Event(nil), events...)
			edited[i] = e.Copy(func(o metav1.Object) {
				q := placesOf(specOf(o).ProtoReflect(), "spec")[n]
				q.in.Clear(q.field)
			})
			r, said := everything(t, edited)
			f := found[fieldName(p.field)]
			if f == nil {
				f = &finding{}
				found[fieldName(p.field)] = f
			}
			f.changes = f.changes || r != resources
			f.places = append(f.places, object+" "+p.path)
			if said == problems {
				f.untold = append(f.untold, object+" "+p.path)
			}
		}
	}
}

// specOf replaces the spec of an object of Istio's by a copy, and returns that;
// nil for other objects.
func specOf(o metav1.Object) proto.Message {
	switch o := o.(type) {
	case *istioapi.VirtualService:
		return own(&o.Spec)
	case *istioapi.DestinationRule:
		return own(&o.Spec)
	case *istioapi.ServiceEntry:
		return own(&o.Spec)
	case *istioapi.WorkloadEntry:
		return own(&o.Spec)
	case *istioapi.WorkloadGroup:
		return own(&o.Spec)
	case *istioapi.Sidecar:
		return own(&o.Spec)
	}
	return nil
}

func own[M proto.Message](spec *M) proto.Message {
	*spec = proto.Clone(*spec).(M)
	return *spec
}

// place is a field that is set.
type place struct {
	in    protoreflect.Message
	field protoreflect.FieldDescriptor
	path  string
}

// placesOf are the fields that are set in a message and below, in a fixed order.
func placesOf(m protoreflect.Message, path string) (out []place) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !m.Has(fd) {
			continue
		}
		at := path + "." + fd.JSONName()
		out = append(out, place{m, fd, at})
		v := m.Get(fd)
		switch {
		case reported[fieldName(fd)]:
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				continue
			}
			var keys []string
			v.Map().Range(func(k protoreflect.MapKey, _ protoreflect.Value) bool {
				keys = append(keys, k.String())
				return true
			})
			sort.Strings(keys)
			for _, k := range keys {
				out = append(out, placesOf(v.Map().Get(protoreflect.ValueOfString(k).MapKey()).Message(), at+"."+k)...)
			}
		case fd.Message() == nil || strings.HasPrefix(string(fd.Message().FullName()), "google."):
		case fd.IsList():
			for j := range v.List().Len() {
				out = append(out, placesOf(v.List().Get(j).Message(), fmt.Sprintf("%s[%d]", at, j))...)
			}
		default:
			out = append(out, placesOf(v.Message(), at)...)
		}
	}
	return out
}

// everything is what proxies get for the objects: those beside the pods of the
// sample, and one of another namespace; and what users are told.
func everything(t *testing.T, events []world.Event) (resources, problems string) {
	t.Helper()
	w, sets := world.Build(settings.TrustDomain, events...)
	r := translate.Build(w, settings)
	for _, p := range r.Problems {
		problems += p.String() + "\n"
	}
	store := snapshot.New(slog.New(slog.DiscardHandler))
	store.SetMesh(r.Mesh)
	for _, s := range r.Mesh.Endpoints {
		sets[s.Key] = s
	}
	store.SetEndpoints(sets)
	clients := []snapshot.Client{{Kind: xds.Weft, Namespace: "other"}}
	for _, x := range r.Mesh.Workloads {
		clients = append(clients, snapshot.Client{Kind: xds.Weft, Namespace: x.Namespace, Workload: x.Ref})
	}
	var out strings.Builder
	for _, c := range clients {
		h := store.Attach(c, func() {})
		get := func(typ xds.Type, name string) {
			h.Hold(typ, name)
			if res := h.Get(typ, name); res != nil {
				fmt.Fprintf(&out, "%v %s %s %s\n", c, typ, name, res.Version)
			}
		}
		get(xds.ListenerType, xds.VirtualInbound)
		get(xds.ListenerType, xds.VirtualOutbound)
		for _, s := range r.Mesh.Services {
			for _, p := range s.Ports {
				get(xds.ListenerType, xds.HostName(s.Host, p.Number))
				get(xds.RouteType, xds.HostName(s.Host, p.Number))
				for _, a := range s.Addresses {
					get(xds.ListenerType, xds.AddressName(a, p.Number))
				}
				for _, subset := range []string{"", "v1", "v2"} {
					get(xds.ClusterType, xds.SubsetName(s.Host, p.Number, subset))
					get(xds.EndpointType, xds.SubsetName(s.Host, p.Number, subset))
				}
			}
		}
		h.Close()
	}
	return sortedLines(out.String()), problems
}

func sortedLines(s string) string {
	lines := strings.Split(s, "\n")
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}
