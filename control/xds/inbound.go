package xds

import (
	"net/netip"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// inboundPort is where Envoy receives redirected inbound connections.
const inboundPort = 15006

// Application protocols of TLS between two proxies: what is inside.
const (
	alpnHTTP2 = "weft-h2"
	alpnHTTP1 = "weft-http/1.1"
	alpnTCP   = "weft-tcp"
)

// InboundListener is virtualInbound: what a workload accepts on its own ports.
// The mode is the mesh's, for workloads that have none of their own.
func InboundListener(w *mesh.Workload, mode mesh.MTLSMode, kind Kind) *listenerv3.Listener {
	if w.Inbound != "" {
		mode = w.Inbound
	}
	l := &listenerv3.Listener{Name: VirtualInbound, TrafficDirection: corev3.TrafficDirection_INBOUND}
	if kind == Envoy {
		l.Address = socketAddress(netip.IPv4Unspecified(), inboundPort)
		l.UseOriginalDst = wrapperspb.Bool(true)
		inspect(l)
	}
	for _, p := range w.Ports {
		l.FilterChains = append(l.FilterChains, inboundChains(p.Number, p.Protocol, mode)...)
	}
	l.FilterChains = append(l.FilterChains, inboundChains(0, mesh.Detect, mode)...)
	if a := applications(w.Ports); a != "" {
		l.Metadata = metadata(stringStruct("applications", a))
	}
	return l
}

// applications lists the ports whose connections go elsewhere, such as
// 80=127.0.0.1:8080.
func applications(ports []mesh.Port) string {
	var out []string
	for _, p := range ports {
		if p.Application.IsValid() {
			out = append(out, strconv.Itoa(int(p.Number))+"="+p.Application.String())
		}
	}
	return strings.Join(out, " ")
}

// inboundChains are the ways in to one port, in the order of docs/xds.md; port
// 0 stands for all that are not declared.
func inboundChains(port uint16, protocol mesh.Protocol, mode mesh.MTLSMode) []*listenerv3.FilterChain {
	name := InboundName(port)
	chain := func(suffix string, match *listenerv3.FilterChainMatch, f *listenerv3.Filter) *listenerv3.FilterChain {
		if port != 0 {
			match.DestinationPort = wrapperspb.UInt32(uint32(port))
		}
		return &listenerv3.FilterChain{Name: strconv.Itoa(int(port)) + "-" + suffix, FilterChainMatch: match, Filters: []*listenerv3.Filter{f}}
	}
	mutual := func(suffix string, f *listenerv3.Filter, alpn ...string) *listenerv3.FilterChain {
		c := chain(suffix, &listenerv3.FilterChainMatch{TransportProtocol: "tls", ApplicationProtocols: alpn}, f)
		c.TransportSocket = serverTLS(alpn)
		return c
	}
	http := func() *listenerv3.Filter {
		return httpFilter(httpManager(name, inlineRoutes(inboundRoutes(name)), Weft))
	}
	tcp := func() *listenerv3.Filter { return tcpFilter(name, name, nil, Destination{}) }

	var out []*listenerv3.FilterChain
	if protocol.MayBeHTTP() {
		out = append(out, mutual("mtls-http", http(), alpnHTTP2, alpnHTTP1))
	}
	out = append(out, mutual("mtls-tcp", tcp(), alpnTCP))
	// Plaintext needs an explicit permission; an unknown mode is strict.
	if mode != mesh.Permissive {
		return out
	}
	switch {
	case protocol.IsHTTP():
		out = append(out, chain("plain-http", &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"}, http()))
	case protocol == mesh.Detect:
		out = append(out, chain("plain-http", &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer", ApplicationProtocols: detectedHTTP()}, http()))
	}
	return append(out, chain("plain-tcp", &listenerv3.FilterChainMatch{}, tcp()))
}

func inboundRoutes(name string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: name,
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    name,
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name:  "default",
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name},
					// Without this Envoy would cut requests after 15 s.
					Timeout: durationpb.New(0),
				}},
			}},
		}},
	}
}
