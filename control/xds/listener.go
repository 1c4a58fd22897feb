package xds

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// outboundPort is where Envoy receives redirected connections. Our own proxy
// knows its ports from its environment.
const outboundPort = 15001

// inspectionTimeout bounds how long Envoy waits for a client's first bytes
// before it treats the connection as server-first.
const inspectionTimeout = 100 * time.Millisecond

// DestinationListener says what to do with connections to a destination. The
// name is AddressName where the destination has an address, else HostName.
func DestinationListener(d Destination, kind Kind) *listenerv3.Listener {
	l := &listenerv3.Listener{Name: d.Name(), TrafficDirection: corev3.TrafficDirection_OUTBOUND}
	if d.Address.IsValid() {
		l.Name = AddressName(d.Address, d.Port)
		if kind == Envoy {
			l.Address = socketAddress(d.Address, d.Port)
			l.BindToPort = wrapperspb.Bool(false)
		}
	} else if d.Protocol.MayBeHTTP() {
		l.ApiListener = &listenerv3.ApiListener{ApiListener: pack(httpManager(d.Name(), routesByADS(d.Name()), kind))}
	}
	http := func() *listenerv3.FilterChain {
		return &listenerv3.FilterChain{Name: "http", Filters: []*listenerv3.Filter{httpFilter(httpManager(d.Name(), routesByADS(d.Name()), kind))}}
	}
	special, tcp := tcpChains(d)
	switch {
	case d.Protocol.IsHTTP():
		l.DefaultFilterChain = http()
	case d.Protocol == mesh.Detect:
		chain := http()
		chain.FilterChainMatch = &listenerv3.FilterChainMatch{ApplicationProtocols: detectedHTTP()}
		l.FilterChains = append([]*listenerv3.FilterChain{chain}, special...)
		l.DefaultFilterChain = tcp
		if kind == Envoy {
			inspect(l)
		}
	default:
		l.FilterChains = special
		l.DefaultFilterChain = tcp
		if kind == Envoy && len(special) > 0 {
			l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector()}
			l.ListenerFiltersTimeout = durationpb.New(inspectionTimeout)
			l.ContinueOnListenerFiltersTimeout = true
		}
	}
	return l
}

// tcpChains are those of the rules that limit themselves to some connections,
// in their order, and the one for all others.
func tcpChains(d Destination) (special []*listenerv3.FilterChain, rest *listenerv3.FilterChain) {
	rest = &listenerv3.FilterChain{Name: "tcp", Filters: []*listenerv3.Filter{tcpFilter(d.Name(), d.Cluster(), nil, d)}}
	for i, c := range d.TCP {
		filters := []*listenerv3.Filter{tcpFilter(d.Name(), d.Cluster(), c.Shares, d)}
		if len(c.Matches) == 0 {
			rest.Filters = filters
			return special, rest
		}
		for j, m := range c.Matches {
			if m.AllConnections() {
				rest.Filters = filters
				return special, rest
			}
			match := &listenerv3.FilterChainMatch{ServerNames: m.SNI}
			if len(m.SNI) > 0 {
				match.TransportProtocol = "tls"
			}
			for _, p := range m.Subnets {
				match.PrefixRanges = append(match.PrefixRanges, &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(p.Bits()))})
			}
			special = append(special, &listenerv3.FilterChain{Name: "tcp-" + strconv.Itoa(i) + "-" + strconv.Itoa(j), FilterChainMatch: match, Filters: filters})
		}
	}
	return special, rest
}

// NamesListener lists the hosts of HTTP requests and the server names of TLS by
// which destinations are found that have no address; it is no place to connect
// to.
func NamesListener(name string, hosts, snis []string) *listenerv3.Listener {
	return &listenerv3.Listener{Name: name, TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		Metadata: metadata(stringStruct("http_hosts", strings.Join(hosts, " "), "tls_hosts", strings.Join(snis, " ")))}
}

// OutboundListener is virtualOutbound: the fate of unknown destinations.
func OutboundListener(mode mesh.OutboundMode, kind Kind) *listenerv3.Listener {
	cluster := PassthroughCluster
	// Anything but an explicit permission refuses.
	if mode != mesh.AllowAny {
		cluster = BlackHoleCluster
	}
	l := &listenerv3.Listener{
		Name:               VirtualOutbound,
		TrafficDirection:   corev3.TrafficDirection_OUTBOUND,
		DefaultFilterChain: &listenerv3.FilterChain{Name: "tcp", Filters: []*listenerv3.Filter{tcpFilter(cluster, cluster, nil, Destination{})}},
	}
	if kind == Envoy {
		l.Address = socketAddress(netip.IPv4Unspecified(), outboundPort)
		l.UseOriginalDst = wrapperspb.Bool(true)
	}
	return l
}

// detectedHTTP are the application protocols by which a filter chain asks for
// connections whose first bytes are a request.
func detectedHTTP() []string { return []string{"http/1.1", "h2c"} }

// inspect makes Envoy look at the first bytes; our own proxy always does.
func inspect(l *listenerv3.Listener) {
	l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector(), httpInspector()}
	l.ListenerFiltersTimeout = durationpb.New(inspectionTimeout)
	l.ContinueOnListenerFiltersTimeout = true
}

func socketAddress(addr netip.Addr, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       addr.String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}
