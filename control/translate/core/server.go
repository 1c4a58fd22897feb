package core

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

// proxyProtocols are those that a Server declares; unknown declares none.
var proxyProtocols = map[string]mesh.Protocol{
	"HTTP/1": mesh.HTTP, "HTTP/2": mesh.HTTP2, "gRPC": mesh.GRPC, "opaque": mesh.TCP, "TLS": mesh.TLS,
}

// declaration is what a Server says of a port of a pod.
type declaration struct {
	protocol mesh.Protocol
	by       mesh.Origin
}

// declared are the ports of pods of which Servers declare the protocol. The
// older Server has the say, then the one whose name sorts first.
func (t *translator) declared() map[mesh.Ref]map[uint16]declaration {
	if len(t.w.Servers) == 0 {
		return nil
	}
	out := map[mesh.Ref]map[uint16]declaration{}
	pods := map[string][]mesh.Ref{}
	for _, ref := range sortedRefs(t.w.Pods) {
		if !world.Ended(t.w.Pods[ref].Obj) {
			pods[ref.Namespace] = append(pods[ref.Namespace], ref)
		}
	}
	for _, item := range t.servers() {
		spec := &item.Obj.Spec
		protocol, says := proxyProtocols[spec.ProxyProtocol]
		if !says || spec.PodSelector == nil {
			continue
		}
		selector, err := metav1.LabelSelectorAsSelector(spec.PodSelector)
		if err != nil {
			continue // refused when it was decoded
		}
		for _, ref := range pods[item.Obj.Namespace] {
			p := t.w.Pods[ref].Obj
			if !selector.Matches(labels.Set(p.Labels)) {
				continue
			}
			number := uint16(spec.Port.IntValue())
			if spec.Port.Type == intstr.String {
				n, ok := containerPort(p, spec.Port.StrVal)
				if !ok {
					continue
				}
				number = n
			}
			if out[ref] == nil {
				out[ref] = map[uint16]declaration{}
			}
			first, taken := out[ref][number]
			switch {
			case !taken:
				out[ref][number] = declaration{protocol, item.Origin}
			case first.protocol != protocol && !t.told["server "+item.Origin.String()]:
				t.told["server "+item.Origin.String()] = true
				t.problem(problem.New(problem.ServerConflict, item.Origin, "spec.proxyProtocol", field("port %d of pod %s is declared by %s already; this one is not in effect there", number, ref, first.by), "let each port be selected by one Server"))
			}
		}
	}
	return out
}

func (t *translator) servers() []world.Item[*linkerdapi.Server] {
	var out []world.Item[*linkerdapi.Server]
	for _, ref := range sortedRefs(t.w.Servers) {
		out = append(out, t.w.Servers[ref])
	}
	slices.SortStableFunc(out, func(a, b world.Item[*linkerdapi.Server]) int {
		switch at, bt := a.Obj.CreationTimestamp, b.Obj.CreationTimestamp; {
		case at.Before(&bt):
			return -1
		case bt.Before(&at):
			return 1
		}
		return 0
	})
	return out
}

// declareServices lets clients know: what a pod takes as opaque bytes must not
// be sent to it as requests.
func (t *translator) declareServices(declared map[mesh.Ref]map[uint16]declaration, ports map[mesh.Ref][]served) {
	for ref, of := range declared {
		for i := range ports[ref] {
			s := &ports[ref][i]
			d, ok := of[s.number]
			if !ok || s.protocol != mesh.Detect || d.protocol.MayBeHTTP() {
				continue
			}
			if p := s.service.PortByNumber(s.port); p != nil {
				p.Protocol = mesh.TCP
			}
		}
	}
}
