package explain

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/mesh"
)

// ErrRequest means that the request cannot be made sense of.
var ErrRequest = errors.New("cannot explain")

// Input is a state of the mesh and a question.
type Input struct {
	Mesh *mesh.Mesh
	// World is what the Mesh was made of; it tells the lines of fields and which
	// objects speak of the destination.
	World *world.World
	// Endpoints of the platform, and whether they are known at all.
	Endpoints map[mesh.EndpointKey]*mesh.EndpointSet
	Known     bool
	Problems  []mesh.Problem
	// Client is who asks; it need not be one of the Mesh.
	Client  mesh.Workload
	Request Request
}

type explainer struct {
	in   Input
	view scope.View
}

// Explain is pure.
func Explain(in Input) (*Decision, error) {
	r := &in.Request
	if r.Host == "" || r.Port == 0 || !strings.HasPrefix(r.Target, "/") {
		return nil, fmt.Errorf("%w: the request has no host, port or path", ErrRequest)
	}
	// The client may be one that does not run yet.
	m := *in.Mesh
	m.Workloads = append(append([]*mesh.Workload(nil), m.Workloads...), &in.Client)
	index := scope.NewIndex(&m)
	x := &explainer{in: in, view: index.ViewOf(in.Client.Namespace, index.Variant(in.Client.Ref))}
	d := &Decision{Request: *r, Client: Client{Ref: in.Client.Ref, Owner: in.Client.Owner, Meshed: in.Client.Meshed, Labels: in.Client.Labels}}
	if s := x.sidecar(); s != nil {
		from := x.source(s.Origin)
		d.Client.Sidecar = &from
	}
	f := x.resolve(r.Host)
	d.Target = Target{Name: r.Host, Port: r.Port, How: f.how}
	switch {
	case f.service != nil:
		x.service(d, f)
	case f.pod != nil:
		x.pod(d, f)
	default:
		name := r.Host
		if f.addr.IsValid() {
			name = listenerName(f.addr, r.Port)
		}
		x.unknown(d, name, f.how)
	}
	return d, nil
}

// sidecar is the Sidecar that binds the client.
func (x *explainer) sidecar() *mesh.Sidecar {
	var own, root *mesh.Sidecar
	for _, s := range x.in.Mesh.Sidecars {
		switch {
		case s.Namespace == x.in.Client.Namespace && len(s.Labels) > 0 && mesh.HasLabels(x.in.Client.Labels, s.Labels):
			return s
		case s.Namespace == x.in.Client.Namespace && len(s.Labels) == 0:
			own = s
		case s.Namespace == x.in.Mesh.Settings.RootNamespace && len(s.Labels) == 0:
			root = s
		}
	}
	if own != nil {
		return own
	}
	return root
}

// unknown is the fate of a destination that the mesh does not know, or that the
// client does not see.
func (x *explainer) unknown(d *Decision, name, why string) {
	l := Listener{Name: name, Fate: Refused}
	mode := x.view.Outbound()
	from := "the mesh's setting"
	if s := x.sidecar(); s != nil && s.Outbound != "" {
		l.Source, from = x.source(s.Origin.At("spec.outboundTrafficPolicy.mode")), "its Sidecar"
	}
	if mode == mesh.AllowAny {
		l.Fate = Passthrough
		l.Note = why + "; " + from + " is ALLOW_ANY, so that it goes to its original address, without mutual TLS, routes or retries"
	} else {
		l.Note = why + "; " + from + " is REGISTRY_ONLY, so that the connection is refused (HTTP: 502)"
	}
	l.Note = strings.TrimPrefix(l.Note, d.Target.How+"; ")
	d.Listener = l
}

func (x *explainer) service(d *Decision, f found) {
	s, port := f.service, d.Target.Port
	d.Target.Name, d.Target.Service, d.Target.Kind, d.Target.Source = s.Host, &s.Ref, s.Kind, x.source(s.Origin)
	if strings.HasPrefix(s.Host, "*") {
		d.Target.Name = strings.TrimSuffix(d.Request.Host, ".")
	}
	for _, a := range s.Addresses {
		d.Target.Addresses = append(d.Target.Addresses, a.String())
	}
	p := s.PortByNumber(port)
	name := s.Host + ":" + strconv.Itoa(int(port))
	var note string
	switch {
	case p == nil:
		x.unknown(d, name, fmt.Sprintf("service %s has no port %d (it has %s)", s.Ref, port, ports(s)))
		return
	case !s.VisibleTo(x.in.Client.Namespace):
		x.unknown(d, name, fmt.Sprintf("service %s is exported to %s only, not to namespace %s", s.Ref, listed(s.ExportTo), x.in.Client.Namespace))
		return
	case !x.view.Sees(s, port):
		x.unknown(d, name, fmt.Sprintf("the client's Sidecar lets it not see %s:%d", s.Host, port))
		d.Listener.Source = x.source(x.sidecar().Origin.At("spec.egress"))
		return
	}
	x.conflicts(d, s)
	switch {
	case s.Kind == mesh.Headless:
		x.headless(d, s, p)
		return
	case len(s.Addresses) > 0:
		name = listenerName(s.Addresses[0], port)
	default:
		note = x.withoutAddress(d, s)
	}
	d.Listener = Listener{Name: name, Protocol: p.Protocol, Note: note, Source: x.source(s.Origin.At(x.portField(s, p)))}
	x.listen(d, s, p)
}

// withoutAddress says how a redirected connection finds a service that has no
// address of its own.
func (x *explainer) withoutAddress(d *Decision, s *mesh.Service) string {
	fate := "is refused (REGISTRY_ONLY)"
	if x.view.Outbound() == mesh.AllowAny {
		fate = "goes to its original address (ALLOW_ANY)"
	}
	host, sni := s.FoundBy(d.Target.Port)
	switch tls := d.Request.Scheme == "https"; {
	case host && !tls:
		return "the service has no address of its own: the request's host leads here, to whatever address the client connects that is nobody else's"
	case sni && tls:
		return "the service has no address of its own: the server name that TLS asks for leads here, to whatever address the client connects that is nobody else's"
	}
	return "the service has no address of its own: this holds for clients that ask by name; a redirected connection " + fate
}

// listen decides whether requests are told apart, and goes on.
func (x *explainer) listen(d *Decision, s *mesh.Service, p *mesh.Port) {
	tls := d.Request.Scheme == "https"
	switch {
	case tls && p.Protocol.IsHTTP():
		d.Listener.Fate = Refused
		d.Listener.note(fmt.Sprintf("the port is declared %s, and TLS of the application is no request; declare the port https or tls, or send http", p.Protocol))
		return
	case tls || !p.Protocol.MayBeHTTP():
		d.Listener.Fate = Connection
		if tls {
			d.Listener.note("the application's own TLS is passed through unread, so that rules for requests do not apply")
		} else {
			d.Listener.note(fmt.Sprintf("the port is declared %s: requests are not told apart", p.Protocol))
		}
		x.connection(d, s, p)
		return
	case p.Protocol == mesh.Detect:
		d.Listener.note("the protocol is found out from the first bytes; a request is HTTP")
	}
	d.Listener.Fate = Requests
	x.requests(d, s, p)
}

func (l *Listener) note(text string) {
	if l.Note != "" {
		text = l.Note + "; " + text
	}
	l.Note = text
}

// headless services are names of pods: clients dial one of them, and rules of
// the service do not apply.
func (x *explainer) headless(d *Decision, s *mesh.Service, p *mesh.Port) {
	fate := Requests
	if d.Request.Scheme == "https" || !p.Protocol.MayBeHTTP() {
		fate = Connection
	}
	d.Listener = Listener{Name: "<pod>_" + strconv.Itoa(int(p.Number)), Protocol: p.Protocol, Fate: fate, Source: x.source(s.Origin.At(x.portField(s, p))),
		Note: "a headless service: the client dials one of its pods, chosen by itself; rules for the service do not apply"}
	b := x.backend(mesh.Backend{Service: s.Ref, Port: p.Number, Weight: 1}, s.Origin)
	b.Percent, b.Settings = 100, nil
	d.Route = &Route{Name: "the pod itself", Rule: &Rule{Name: "default", Match: "every request", Backends: []Backend{b}, Settings: x.settings(&mesh.Rule{})}}
}

// pod explains a connection to the address of a workload.
func (x *explainer) pod(d *Decision, f found) {
	w, port := f.pod, d.Target.Port
	ref := w.Ref
	d.Target.Pod, d.Target.Source = &ref, x.source(w.Origin)
	d.Target.Addresses = []string{f.addr.String()}
	var protocol mesh.Protocol
	declared := false
	for i := range w.Ports {
		if w.Ports[i].Number == port {
			protocol, declared = w.Ports[i].Protocol, true
		}
	}
	a := netip.AddrPortFrom(f.addr, port)
	if !declared && !w.Meshed && !x.endpoint(a) {
		x.unknown(d, listenerName(f.addr, port), fmt.Sprintf("workload %s is not meshed and declares no port %d", w.Ref, port))
		return
	}
	d.Listener = Listener{Name: listenerName(f.addr, port), Protocol: protocol, Fate: Requests, Source: x.source(w.Origin),
		Note: "the address of one pod: rules for services do not apply"}
	if d.Request.Scheme == "https" || !protocol.MayBeHTTP() {
		d.Listener.Fate = Connection
	}
	e := Endpoint{Address: a.String(), Workload: w.Ref.String(), Owner: w.Owner, Health: mesh.Ready}
	if w.Meshed {
		e.Identity = w.Identity.String()
	}
	d.Route = &Route{Name: "the pod itself", Rule: &Rule{Name: "default", Match: "every request", Settings: x.settings(&mesh.Rule{}),
		Backends: []Backend{{Service: w.Ref, Port: port, Weight: 1, Percent: 100, Endpoints: []Endpoint{e}, Source: x.source(w.Origin)}}}}
}

// endpoint says whether an address is an endpoint of some service.
func (x *explainer) endpoint(a netip.AddrPort) bool {
	for _, set := range x.in.Endpoints {
		for i := range set.Endpoints {
			if set.Endpoints[i].Address == a {
				return true
			}
		}
	}
	return false
}

// source finds the line of an origin's field.
func (x *explainer) source(o mesh.Origin) Source {
	s := Source{Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, Field: o.Field, File: o.File, Line: o.Line}
	if x.in.World == nil || o.Name == "" {
		return s
	}
	if o.File == "" {
		s.Version = x.in.World.Version(o)
		return s
	}
	if o.Field == "" {
		return s
	}
	if p := x.in.World.Place(o); p != nil {
		if line := p.Line(o.Field); line > 0 {
			s.Line = line
		}
	}
	return s
}

// listenerName is the name of a destination by address, as docs/xds.md says.
func listenerName(a netip.Addr, port uint16) string {
	host := a.String()
	if a.Is6() {
		host = "[" + host + "]"
	}
	return host + "_" + strconv.Itoa(int(port))
}

func listed(list []string) string {
	if len(list) == 0 {
		return "no namespace"
	}
	return strings.Join(list, ", ")
}

// portField is where an object declares a port.
func (x *explainer) portField(s *mesh.Service, p *mesh.Port) string {
	if x.in.World == nil {
		return ""
	}
	ref := mesh.Ref{Namespace: s.Origin.Namespace, Name: s.Origin.Name}
	switch world.Kind(s.Origin.Kind) {
	case world.KindService:
		if item, ok := x.in.World.Services[ref]; ok {
			for i := range item.Obj.Spec.Ports {
				if q := &item.Obj.Spec.Ports[i]; q.Port == int32(p.Number) && world.IsTCP(q.Protocol) {
					return fmt.Sprintf("spec.ports[%d]", i)
				}
			}
		}
	case world.KindServiceEntry:
		if item, ok := x.in.World.ServiceEntries[ref]; ok {
			for i, q := range item.Obj.Spec.Ports {
				if q.Number == uint32(p.Number) {
					return fmt.Sprintf("spec.ports[%d]", i)
				}
			}
		}
	}
	return ""
}
