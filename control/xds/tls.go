package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/identity"
)

const (
	tlsSocket = "envoy.transport_sockets.tls"
	rawSocket = "envoy.transport_sockets.raw_buffer"
)

// serverTLS demands a client certificate of the mesh.
func serverTLS(alpn []string) *corev3.TransportSocket {
	return socket(tlsSocket, &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.DownstreamTlsContext{
		CommonTlsContext:         mutualTLS(alpn, nil),
		RequireClientCertificate: wrapperspb.Bool(true),
	})})
}

// clientTLS shows the client's certificate and accepts the given identities.
func clientTLS(alpn []string, ids []identity.ID) *corev3.TransportSocket {
	return socket(tlsSocket, &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: mutualTLS(alpn, ids)})})
}

func plaintext() *corev3.TransportSocket {
	return socket(rawSocket, &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&rawv3.RawBuffer{})})
}

func socket(name string, config *corev3.TransportSocket_TypedConfig) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: name, ConfigType: config}
}

// mutualTLS is the half that both sides share: TLS 1.3, the proxy's own
// certificate, peers verified against the trust bundle and, where identities
// are given, against those.
func mutualTLS(alpn []string, ids []identity.ID) *tlsv3.CommonTlsContext {
	validation := &tlsv3.CertificateValidationContext{}
	for _, id := range ids {
		validation.MatchTypedSubjectAltNames = append(validation.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_URI,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: id.String()}},
		})
	}
	return &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{
			TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
			TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3,
		},
		AlpnProtocols:                  alpn,
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: DefaultCertificate, SdsConfig: ads()}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         validation,
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: RootCA, SdsConfig: ads()},
			},
		},
	}
}
