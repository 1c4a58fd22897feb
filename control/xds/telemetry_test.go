package xds

import (
	"net/netip"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/weftmesh/weft/mesh"
)

// Every filter of every listener logs, and nothing else changes.
func TestAccessLogs(t *testing.T) {
	text, json := mesh.LogSettings{File: "/var/log/a"}.Logger(), mesh.LogSettings{JSON: true}.Logger()
	linkerd, _ := mesh.Apache.Logger()
	d := Destination{Host: "api.shop.svc.cluster.local", Port: 80, Protocol: mesh.Detect, Address: netip.MustParseAddr("10.0.0.1")}
	byName := d
	byName.Address = netip.Addr{}
	for name, l := range map[string]*listenerv3.Listener{
		"destination": DestinationListener(d, Weft), "by name": DestinationListener(byName, GRPC),
		"inbound": InboundListener(&mesh.Workload{Ports: []mesh.Port{{Number: 80, Protocol: mesh.HTTP}}}, mesh.Permissive, Weft), "outbound": OutboundListener(mesh.AllowAny, Envoy),
	} {
		before := l.String()
		if got := WithAccessLogs(l, nil).String(); got != before {
			t.Errorf("%s: changed without loggers", name)
		}
		l = WithAccessLogs(l, []mesh.AccessLogger{text, json, linkerd})
		chains := l.FilterChains
		if l.DefaultFilterChain != nil {
			chains = append(chains, l.DefaultFilterChain)
		}
		n := 0
		for _, c := range chains {
			for _, f := range c.Filters {
				m, err := f.GetTypedConfig().UnmarshalNew()
				if err != nil {
					t.Fatal(err)
				}
				var logs []*accesslogv3.AccessLog
				want := 2
				switch m := m.(type) {
				case *hcmv3.HttpConnectionManager:
					logs, want = m.AccessLog, 3 // Linkerd's is of requests alone
				case *tcpv3.TcpProxy:
					logs = m.AccessLog
				}
				if len(logs) != want {
					t.Fatalf("%s: chain %s has %d loggers", name, c.Name, len(logs))
				}
				var one, two filev3.FileAccessLog
				if logs[0].GetTypedConfig().UnmarshalTo(&one) != nil || logs[1].GetTypedConfig().UnmarshalTo(&two) != nil {
					t.Fatal("no file loggers")
				}
				if one.Path != "/var/log/a" || one.GetLogFormat().GetTextFormatSource().GetInlineString() != text.Text || one.ValidateAll() != nil {
					t.Errorf("%s: %v", name, &one)
				}
				if two.Path != "/dev/stdout" || two.GetLogFormat().GetJsonFormat().GetFields()["response_code"].GetStringValue() != "%RESPONSE_CODE%" || two.ValidateAll() != nil {
					t.Errorf("%s: %v", name, &two)
				}
				n++
			}
		}
		if n == 0 {
			t.Errorf("%s: no filter", name)
		}
	}
}
