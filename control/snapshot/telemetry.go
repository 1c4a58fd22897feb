package snapshot

import (
	"encoding/json"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/weftmesh/weft/control/scope"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// clientLogs are the access loggers of the requests that a client makes, in a
// form that compares; empty for none.
func clientLogs(v scope.View) string { return logString(v.AccessLog(mesh.Client)) }

// serverLogs are those of the requests that a workload serves.
func serverLogs(v scope.View, w *mesh.Workload) string {
	list := v.AccessLog(mesh.Server)
	if w != nil {
		if l, ok := w.AccessLog.Logger(); ok {
			list = append(list, l)
		}
	}
	return logString(list)
}

func logString(list []mesh.AccessLogger) string {
	if len(list) == 0 {
		return ""
	}
	b, err := json.Marshal(list)
	if err != nil {
		return "" // strings can always be written
	}
	return string(b)
}

func (in *input) loggers() []mesh.AccessLogger {
	var list []mesh.AccessLogger
	if in.logs == "" || json.Unmarshal([]byte(in.logs), &list) != nil {
		return nil
	}
	return list
}

// listener makes the message of a listener, without access logs.
func (in *input) listener(v scope.View) *listenerv3.Listener {
	switch {
	case in.names != "":
		hosts, snis := in.namesLists()
		return xds.NamesListener(in.name.Name, hosts, snis)
	case in.name.Name == xds.VirtualOutbound:
		return xds.OutboundListener(mesh.OutboundMode(in.mode), in.kind)
	case in.name.Name == xds.VirtualInbound:
		w := &mesh.Workload{}
		if in.workload != nil {
			w = v.Inbound(in.workload.Ref)
		}
		return xds.InboundListener(w, mesh.MTLSMode(in.mode), in.kind)
	}
	l := xds.DestinationListener(in.dialled(v), in.kind)
	if in.byName {
		l.Name = in.name.Name // as it was asked for, in capital letters or not
	}
	return l
}
