package xds

import (
	"net/netip"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weftmesh/weft/mesh"
)

// systemRoots are the certificate authorities of the proxy's image.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"

// setSecurity chooses between the mesh's mutual TLS, the user's own TLS and
// plaintext. gRPC refuses the field, and has mutual TLS of another kind.
func setSecurity(c *clusterv3.Cluster, in ClusterInput, kind Kind) []string {
	t := in.Policy.TLS
	mode := mesh.TLSMode("")
	if t != nil {
		mode = t.Mode
	}
	eds := c.GetType() == clusterv3.Cluster_EDS
	switch {
	case kind == GRPC:
	case mode == mesh.TLSDisable:
		return []string{"tls", string(mode)}
	case mode == mesh.TLSSimple || mode == mesh.TLSMutual:
		c.TransportSocket = originate(in, t)
		return []string{"tls", string(mode)}
	case in.OutsideMesh && mode == "":
	case mode == mesh.TLSMesh && !eds:
		c.TransportSocket = clientTLS(innerProtocols(in.Protocol), in.Identities)
	case eds:
		c.TransportSocketMatches = socketMatches(in)
	}
	return nil
}

// socketMatches choose mutual TLS or plaintext by the endpoint's metadata.
func socketMatches(in ClusterInput) []*clusterv3.Cluster_TransportSocketMatch {
	return []*clusterv3.Cluster_TransportSocketMatch{
		{Name: "tlsMode-istio", Match: stringStruct(mutualKey, mutualValue), TransportSocket: clientTLS(innerProtocols(in.Protocol), in.Identities)},
		{Name: "tlsMode-disabled", Match: stringStruct(), TransportSocket: plaintext()},
	}
}

// innerProtocols are what the client says will come inside the TLS. Our own
// proxy decides by connection; for others a port to be detected is bytes.
func innerProtocols(p mesh.Protocol) []string {
	switch p {
	case mesh.HTTP:
		return []string{alpnHTTP1}
	case mesh.HTTP2, mesh.GRPC:
		return []string{alpnHTTP2}
	}
	return []string{alpnTCP}
}

// originate is TLS that the user asks for, with files of the client's proxy.
func originate(in ClusterInput, t *mesh.ClientTLS) *corev3.TransportSocket {
	file := func(name string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
	}
	validation := &tlsv3.CertificateValidationContext{}
	if t.Insecure {
		// To leave trust out means the same to Envoy; our own proxy wants it said.
		validation.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	} else {
		roots := t.Roots
		if roots == "" {
			roots = systemRoots
		}
		validation.TrustedCa = file(roots)
		names := t.Names
		if len(names) == 0 {
			names = in.Names
		}
		for _, n := range names {
			validation.MatchTypedSubjectAltNames = append(validation.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
				SanType: nameType(n), Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: n}}})
		}
	}
	common := &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: validation}}
	if t.Mode == mesh.TLSMutual {
		common.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file(t.Certificate), PrivateKey: file(t.Key)}}
	}
	switch {
	case in.Protocol == mesh.HTTP2 || in.Protocol == mesh.GRPC:
		common.AlpnProtocols = []string{"h2"}
	case in.Protocol.MayBeHTTP():
		common.AlpnProtocols = []string{"http/1.1"}
	}
	sni := t.SNI
	if sni == "" && (in.Kind == mesh.DNS || in.Kind == mesh.OneOfDNS) {
		sni = in.Host
	}
	return socket(tlsSocket, &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: sni})})
}

// nameType tells by a name's form which of a certificate's it stands for.
func nameType(name string) tlsv3.SubjectAltNameMatcher_SanType {
	if _, err := netip.ParseAddr(name); err == nil {
		return tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	}
	if strings.Contains(name, "://") {
		return tlsv3.SubjectAltNameMatcher_URI
	}
	return tlsv3.SubjectAltNameMatcher_DNS
}
