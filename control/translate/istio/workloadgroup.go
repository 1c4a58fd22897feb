package istio

import (
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/istioapi"
	"github.com/weftmesh/weft/mesh"
)

// groupAnnotation names the WorkloadGroup of a WorkloadEntry, as an owner
// reference does too.
const groupAnnotation = "istio.io/autoRegistrationGroup"

// workload is a WorkloadEntry with what its group says for it.
type workload struct {
	item world.Item[*istioapi.WorkloadEntry]
	ref  mesh.Ref
	spec *networking.WorkloadEntry
}

// readWorkloads reads the WorkloadEntries, the oldest first, and the groups that
// they name. What an entry does not say is taken from its group's template.
func (t *translator) readWorkloads() {
	used := map[mesh.Ref]bool{}
	for _, item := range byAge(t.w.WorkloadEntries) {
		w := workload{item, mesh.Ref{Namespace: item.Obj.Namespace, Name: item.Obj.Name}, item.Obj.Spec}
		if name := groupOf(item.Obj); name != "" {
			ref := mesh.Ref{Namespace: w.ref.Namespace, Name: name}
			if g, ok := t.w.WorkloadGroups[ref]; ok {
				used[ref] = true
				w.spec = fromTemplate(w.spec, g.Obj.Spec)
			} else {
				t.problem(problem.ReferenceMissing, item.Origin, "metadata", at("the WorkloadGroup %s does not exist; the entry stands for itself", ref), "create it or correct the name")
			}
		}
		t.network(w.spec.Network, item.Origin, "spec.network")
		t.ports(item.Obj.Spec.Ports, item.Origin, "spec.ports")
		t.workloads = append(t.workloads, w)
	}
	for _, g := range byAge(t.w.WorkloadGroups) {
		t.group(g, used[mesh.Ref{Namespace: g.Obj.Namespace, Name: g.Obj.Name}])
	}
}

func groupOf(o *istioapi.WorkloadEntry) string {
	if name := o.Annotations[groupAnnotation]; name != "" {
		return name
	}
	for _, r := range o.OwnerReferences {
		if r.Kind == string(world.KindWorkloadGroup) && strings.HasPrefix(r.APIVersion, istioapi.Group+"/") {
			return r.Name
		}
	}
	return ""
}

// fromTemplate fills up an entry: labels and ports one by one, the rest where
// the entry says nothing.
func fromTemplate(own *networking.WorkloadEntry, g *networking.WorkloadGroup) *networking.WorkloadEntry {
	out := proto.Clone(own).(*networking.WorkloadEntry)
	of := g.GetTemplate()
	out.Labels = entryLabels(entryLabels(g.GetMetadata().GetLabels(), of.GetLabels()), own.Labels)
	if len(of.GetPorts()) > 0 {
		ports := map[string]uint32{}
		for _, from := range []map[string]uint32{of.Ports, own.Ports} {
			for k, v := range from {
				ports[k] = v
			}
		}
		out.Ports = ports
	}
	fragment.Default(&out.ServiceAccount, of.GetServiceAccount())
	fragment.Default(&out.Locality, of.GetLocality())
	fragment.Default(&out.Network, of.GetNetwork())
	fragment.Default(&out.Weight, of.GetWeight())
	return out
}

// group reports what cannot be used of a WorkloadGroup, and what is not done.
func (t *translator) group(g world.Item[*istioapi.WorkloadGroup], used bool) {
	spec := g.Obj.Spec
	if !used {
		p := problem.New(problem.IstioUnsupported, g.Origin, "spec", "proxies outside of the platform do not register themselves, and no WorkloadEntry names the group", "write WorkloadEntries with the annotation "+groupAnnotation)
		p.Severity = mesh.Info
		t.report(p)
	}
	if a := spec.GetTemplate().GetAddress(); a != "" {
		t.problem(problem.SchemaWarning, g.Origin, "spec.template.address", at("each entry has its own address; %s is not used", a), "remove the field")
	}
	t.ports(spec.GetTemplate().GetPorts(), g.Origin, "spec.template.ports")
	if !used {
		t.network(spec.GetTemplate().GetNetwork(), g.Origin, "spec.template.network")
	}
	if len(spec.GetMetadata().GetAnnotations()) > 0 {
		t.problem(problem.IstioUnsupported, g.Origin, "spec.metadata.annotations", "annotations of entries mean nothing to the mesh; only the labels are taken over", "remove the field")
	}
	t.probe(spec.GetProbe(), g.Origin)
}

// probe checks a probe that nobody executes: entries count as ready while they
// exist.
func (t *translator) probe(p *networking.ReadinessProbe, o mesh.Origin) {
	if p == nil {
		return
	}
	t.problem(problem.IstioUnsupported, o, "spec.probe", "workloads outside of the platform are not probed; an entry counts as ready while it exists", "delete the WorkloadEntries of workloads that are gone")
	bad := func(field, message, remedy string) {
		t.problem(problem.SchemaInvalid, o, "spec.probe"+field, message, remedy)
	}
	for _, n := range []struct {
		field string
		value int32
	}{{".initialDelaySeconds", p.InitialDelaySeconds}, {".timeoutSeconds", p.TimeoutSeconds}, {".periodSeconds", p.PeriodSeconds}, {".successThreshold", p.SuccessThreshold}, {".failureThreshold", p.FailureThreshold}} {
		if n.value < 0 {
			bad(n.field, at("%d is negative", n.value), "give 0 or more")
		}
	}
	port := func(field string, n uint32) {
		if n < 1 || n > 65535 {
			bad(field+".port", at("%d is no port", n), "give one from 1 to 65535")
		}
	}
	switch m := p.HealthCheckMethod.(type) {
	case *networking.ReadinessProbe_HttpGet:
		port(".httpGet", m.HttpGet.GetPort())
		if s := strings.ToUpper(m.HttpGet.GetScheme()); s != "" && s != "HTTP" && s != "HTTPS" {
			bad(".httpGet.scheme", at("%q is neither HTTP nor HTTPS", m.HttpGet.Scheme), "use one of these")
		}
	case *networking.ReadinessProbe_TcpSocket:
		port(".tcpSocket", m.TcpSocket.GetPort())
	case *networking.ReadinessProbe_Grpc:
		port(".grpc", m.Grpc.GetPort())
	case *networking.ReadinessProbe_Exec:
		if len(m.Exec.GetCommand()) == 0 {
			bad(".exec.command", "the command is empty", "name a program")
		}
	default:
		bad("", "no way to probe is given", "give httpGet, tcpSocket, grpc or exec")
	}
}

// ports tells of numbers that are no ports.
func (t *translator) ports(list map[string]uint32, o mesh.Origin, field string) {
	for _, name := range keys(list) {
		if n := list[name]; n < 1 || n > 65535 {
			t.problem(problem.SchemaInvalid, o, field+"."+name, at("%d is no port; it is left out", n), "give one from 1 to 65535")
		}
	}
}

// network tells that a network is not kept apart.
func (t *translator) network(name string, o mesh.Origin, field string) {
	if name != "" {
		t.problem(problem.IstioUnsupported, o, field, at("the mesh has one network; endpoints of %s are dialled straight", name), "make them reachable from the cluster's pods")
	}
}

// sortInstances orders by address.
func sortInstances(list []instance) {
	sort.Slice(list, func(i, j int) bool { return list[i].endpoint.Address.Compare(list[j].endpoint.Address) < 0 })
}
