package config

import (
	"strings"

	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/route"
)

// Type URLs of what a listener may hold (docs/xds.md, listener for a
// destination and virtualInbound).
const (
	urlHTTPManager   = typePrefix + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	urlTCPProxy      = typePrefix + "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
	urlRouter        = typePrefix + "envoy.extensions.filters.http.router.v3.Router"
	urlDownstreamTLS = typePrefix + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
	urlRawBuffer     = typePrefix + "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"
)

// listener is envoy.config.listener.v3.Listener.
type listener struct {
	name   string
	chains []chain
	def    *chain
	api    *httpManager

	// What the chains come to, by the listener's name: the inbound policy, the
	// fate of unknown destinations, or a destination.
	inbound  *policy.Inbound
	fate     Fate
	siblings []string
	hosts    hosts
	// applications are those of the workload's ports that are elsewhere.
	applications []string
	byName       *route.ByName
	protocol     Protocol
	http         *httpManager
	tcp          *tcpProxy
	// special are the chains for some of the connections that tcp is for.
	special []chain
}

func decodeListener(b []byte) (*listener, error) {
	l := &listener{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&l.name)
		case 3:
			return f.in("filter_chains["+itoa(len(l.chains))+"]", func(b []byte) error {
				c, err := decodeChain(b)
				if err == nil {
					l.chains = append(l.chains, *c)
				}
				return err
			})
		case 25:
			return f.in("default_filter_chain", func(b []byte) (err error) {
				l.def, err = decodeChain(b)
				return err
			})
		case 6:
			return f.in("metadata", func(b []byte) error {
				m, _, err := weftMetadata(b)
				l.siblings, l.hosts, l.applications = readSiblings(m), readHosts(m), strings.Fields(m["applications"])
				return err
			})
		case 19:
			return f.in("api_listener", func(b []byte) error { return l.apiListener(b) })
		case 32, 36:
			return unsupported("filter_chain_matcher and fcds_config (field %d)", f.num)
		}
		return nil
	})
	return l, err
}

func (l *listener) apiListener(b []byte) error {
	return eachField(b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		return f.in("api_listener", func(b []byte) error {
			a, err := decodeAny(b)
			if err != nil {
				return err
			}
			if a.url != urlHTTPManager {
				return unsupported("type %q", a.url)
			}
			l.api, err = decodeHTTPManager(a.value)
			return err
		})
	})
}
