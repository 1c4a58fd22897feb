package config

import (
	"crypto/tls"
	"errors"
	"reflect"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/upstream"
)

const tlsHost = "bank.example.com"

func file(name string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
}

func san(kind tlsv3.SubjectAltNameMatcher_SanType, v string) *tlsv3.SubjectAltNameMatcher {
	return &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: v}}}
}

func trusting(name string, sans ...*tlsv3.SubjectAltNameMatcher) *tlsv3.CommonTlsContext_ValidationContext {
	return &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: file(name), MatchTypedSubjectAltNames: sans}}
}

// originating is a cluster with TLS of the user's.
func originating(mode string, adjust func(*tlsv3.UpstreamTlsContext)) *clusterv3.Cluster {
	c := edsCluster("outbound|443||" + tlsHost)
	u := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: trusting("/ca.pem")}}
	if mode == "MUTUAL" {
		u.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file("/c.pem"), PrivateKey: file("/k.pem")}}
	}
	if adjust != nil {
		adjust(u)
	}
	c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(u)}}
	if mode != "" {
		c.Metadata = weftMeta("tls", mode)
	}
	return c
}

// meshSocket is mutual TLS of the mesh for all endpoints.
func meshSocket(ids ...string) *corev3.TransportSocket {
	v := &tlsv3.CertificateValidationContext{}
	for _, id := range ids {
		v.MatchTypedSubjectAltNames = append(v.MatchTypedSubjectAltNames, san(tlsv3.SubjectAltNameMatcher_URI, id))
	}
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		AlpnProtocols: []string{"weft-tcp"}, TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{{Name: "default", SdsConfig: ads()}},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: v, ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: rootCA, SdsConfig: ads()}}}}})}}
}

func dnsName(v string) []upstream.Name { return []upstream.Name{{Kind: upstream.DNSName, Value: v}} }

func TestClusterSecurity(t *testing.T) {
	raw := &corev3.TransportSocket{Name: "raw", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&rawv3.RawBuffer{})}}
	named := func(c *clusterv3.Cluster, name string) *clusterv3.Cluster { c.Name = name; return c }
	ca := upstream.Material{File: "/ca.pem"}
	apiID := identity.ID{TrustDomain: "cluster.local", Namespace: "production", ServiceAccount: "api"}
	for what, c := range map[string]struct {
		c    *clusterv3.Cluster
		want upstream.Spec
	}{
		"disable":     {func() *clusterv3.Cluster { c := edsCluster("x"); c.Metadata = weftMeta("tls", "DISABLE"); return c }(), upstream.Spec{Plaintext: true}},
		"raw for all": {func() *clusterv3.Cluster { c := edsCluster("x"); c.TransportSocket = raw; return c }(), upstream.Spec{Plaintext: true}},
		"raw for those without a match": {func() *clusterv3.Cluster {
			c := edsCluster("x")
			c.TransportSocket, c.TransportSocketMatches = raw, []*clusterv3.Cluster_TransportSocketMatch{{Name: "m", TransportSocket: meshSocket()}}
			return c
		}(), upstream.Spec{}},
		"simple": {originating("SIMPLE", nil), upstream.Spec{Originate: &upstream.Origination{ServerName: tlsHost, Roots: ca, Names: dnsName(tlsHost)}}},
		"named": {originating("SIMPLE", func(u *tlsv3.UpstreamTlsContext) {
			u.Sni = "sni.example.com"
			u.CommonTlsContext.ValidationContextType = trusting("/ca.pem", san(tlsv3.SubjectAltNameMatcher_DNS, "a.example.com"), san(tlsv3.SubjectAltNameMatcher_URI, "spiffe://x/y"), san(tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "10.0.0.1"))
			u.CommonTlsContext.AlpnProtocols = []string{"h2", "postgresql"}
			u.CommonTlsContext.TlsParams = &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
		}), upstream.Spec{Originate: &upstream.Origination{ServerName: "sni.example.com", Roots: ca, Protocols: []string{"postgresql"}, MinVersion: tls.VersionTLS13,
			Names: append(dnsName("a.example.com"), upstream.Name{Kind: upstream.URIName, Value: "spiffe://x/y"}, upstream.Name{Kind: upstream.IPName, Value: "10.0.0.1"})}}},
		"only SNI": {originating("SIMPLE", func(u *tlsv3.UpstreamTlsContext) { u.Sni = "sni.example.com" }),
			upstream.Spec{Originate: &upstream.Origination{ServerName: "sni.example.com", Roots: ca, Names: dnsName("sni.example.com")}}},
		"mutual": {originating("MUTUAL", nil), upstream.Spec{Originate: &upstream.Origination{ServerName: tlsHost, Roots: ca, Names: dnsName(tlsHost),
			Certificate: upstream.Material{File: "/c.pem"}, Key: upstream.Material{File: "/k.pem"}}}},
		"inline and system": {originating("", func(u *tlsv3.UpstreamTlsContext) {
			u.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{SystemRootCerts: &tlsv3.CertificateValidationContext_SystemRootCerts{}}}
			u.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "c"}}, PrivateKey: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte("k")}}}}
		}), upstream.Spec{Originate: &upstream.Origination{ServerName: tlsHost, Names: dnsName(tlsHost), Certificate: upstream.Material{Inline: "c"}, Key: upstream.Material{Inline: "k"}}}},
		"insecure": {originating("SIMPLE", func(u *tlsv3.UpstreamTlsContext) {
			u.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustChainVerification: tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED}}
		}), upstream.Spec{Originate: &upstream.Origination{ServerName: tlsHost, Insecure: true}}},
		"a wildcard host": {named(originating("SIMPLE", nil), "outbound|443||*.example.com"),
			upstream.Spec{Originate: &upstream.Origination{Roots: ca, Names: []upstream.Name{{Kind: upstream.UnderDomain, Value: "*.example.com"}}}}},
		"a DNS name of the mesh": {func() *clusterv3.Cluster {
			c := edsCluster("x")
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_LOGICAL_DNS}
			c.LoadAssignment = assignmentOf("x", "api.example.com")
			c.TransportSocket = meshSocket(apiID.String())
			return c
		}(), upstream.Spec{Kind: upstream.DNS, Host: "api.example.com", Port: 80, Identity: apiID}},
	} {
		got, err := readCluster(c.c.Name, wire(t, c.c))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		g := upstream.Spec{Kind: got.spec.Kind, Host: got.spec.Host, Port: got.spec.Port, Plaintext: got.spec.Plaintext, Originate: got.spec.Originate, Identity: got.spec.Identity}
		if !reflect.DeepEqual(g, c.want) {
			t.Errorf("%s:\n got %+v %+v\nwant %+v %+v", what, g, g.Originate, c.want, c.want.Originate)
		}
	}
}

// What would be less than was asked for is refused.
func TestClusterSecurityRefusals(t *testing.T) {
	context := func(f func(*tlsv3.CommonTlsContext)) *clusterv3.Cluster {
		return originating("SIMPLE", func(u *tlsv3.UpstreamTlsContext) { f(u.CommonTlsContext) })
	}
	validation := func(f func(*tlsv3.CertificateValidationContext)) *clusterv3.Cluster {
		return context(func(c *tlsv3.CommonTlsContext) { f(c.GetValidationContext()) })
	}
	meta := func(c *clusterv3.Cluster, mode string) *clusterv3.Cluster {
		c.Metadata = weftMeta("tls", mode)
		return c
	}
	for what, c := range map[string]struct {
		c    *clusterv3.Cluster
		tell string
	}{
		"no trust":    {context(func(c *tlsv3.CommonTlsContext) { c.ValidationContextType = nil }), "trusted_ca"},
		"empty trust": {validation(func(v *tlsv3.CertificateValidationContext) { v.TrustedCa = nil }), "ACCEPT_UNTRUSTED"},
		"a pin":       {validation(func(v *tlsv3.CertificateValidationContext) { v.VerifyCertificateHash = []string{"x"} }), "validation_context"},
		"revocation":  {validation(func(v *tlsv3.CertificateValidationContext) { v.Crl = file("/crl") }), "validation_context"},
		"a name by prefix": {validation(func(v *tlsv3.CertificateValidationContext) {
			m := san(2, "x")
			m.Matcher.MatchPattern = &matcherv3.StringMatcher_Prefix{Prefix: "x"}
			v.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{m}
		}), "match_typed_subject_alt_names"},
		"an empty name": {validation(func(v *tlsv3.CertificateValidationContext) {
			v.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{san(2, "")}
		}), "empty name"},
		"another kind of name": {validation(func(v *tlsv3.CertificateValidationContext) {
			v.MatchTypedSubjectAltNames = []*tlsv3.SubjectAltNameMatcher{san(1, "a@b")}
		}), "san_type"},
		"an environment variable": {validation(func(v *tlsv3.CertificateValidationContext) {
			v.TrustedCa.Specifier = &corev3.DataSource_EnvironmentVariable{EnvironmentVariable: "X"}
		}), "trusted_ca"},
		"a certificate without key": {context(func(c *tlsv3.CommonTlsContext) {
			c.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file("/c")}}
		}), "private_key"},
		"two certificates": {context(func(c *tlsv3.CommonTlsContext) { c.TlsCertificates = []*tlsv3.TlsCertificate{{}, {}} }), "tls_certificates"},
		"an unknown secret": {context(func(c *tlsv3.CommonTlsContext) {
			c.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{{Name: "mine"}}
		}), "mine"},
		"ciphers": {context(func(c *tlsv3.CommonTlsContext) { c.TlsParams = &tlsv3.TlsParameters{CipherSuites: []string{"x"}} }), "tls_params"},
		"versions": {context(func(c *tlsv3.CommonTlsContext) {
			c.TlsParams = &tlsv3.TlsParameters{TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_1}
		}), "tls_params"},
		"MUTUAL without certificate": {meta(originating("SIMPLE", nil), "MUTUAL"), "tls_certificates"},
		"SIMPLE without TLS":         {meta(edsCluster("x"), "SIMPLE"), "transport_socket"},
		"DISABLE with TLS":           {meta(originating("SIMPLE", nil), "DISABLE"), "DISABLE"},
		"an unknown mode":            {meta(edsCluster("x"), "MAYBE"), "MAYBE"},
		"nobody to expect":           {func() *clusterv3.Cluster { c := originating("SIMPLE", nil); c.Name = "outbound|443||"; return c }(), "sni"},
		"several identities": {func() *clusterv3.Cluster {
			c := originating("", nil)
			c.TransportSocket = meshSocket("spiffe://a/ns/b/sa/c", "spiffe://a/ns/b/sa/d")
			return c
		}(), "identities"},
	} {
		_, err := readCluster(c.c.Name, wire(t, c.c))
		if err == nil || !strings.Contains(err.Error(), c.tell) || !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: the error does not tell %q: %v", what, c.tell, err)
		}
	}
}

func rangeOf(a string, n uint32) *corev3.CidrRange {
	return &corev3.CidrRange{AddressPrefix: a, PrefixLen: wrapperspb.UInt32(n)}
}

// special adds a chain for some connections.
func special(l *listenerv3.Listener, cluster string, m *listenerv3.FilterChainMatch) *listenerv3.Listener {
	c := chainOf(tcpFilter("h:1", cluster))
	c.FilterChainMatch = m
	l.FilterChains = append(l.FilterChains, c)
	return l
}

// specialListener has a chain of each kind.
func specialListener(l *listenerv3.Listener) *listenerv3.Listener {
	special(l, "a", &listenerv3.FilterChainMatch{TransportProtocol: "tls", ServerNames: []string{"A.example.com", "*.example.com"}})
	return special(l, "b", &listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{rangeOf("10.1.2.3", 16), rangeOf("fd00::", 8)}})
}

func TestConnectionsByHash(t *testing.T) {
	for _, p := range []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}, {PolicySpecifier: &typev3.HashPolicy_FilterState_{}}} {
		l := tcpListener("x", "h:1", "c")
		l.DefaultFilterChain.Filters[0].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(&tcpv3.TcpProxy{StatPrefix: "h:1", ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: "c"}, HashPolicy: []*typev3.HashPolicy{p}})}
		got, err := readListener("x", wire(t, l))
		if p.GetSourceIp() == nil {
			if err == nil || !strings.Contains(err.Error(), "hash_policy") {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if st, err := compile(&inputs{listener: got}, &Options{}); err != nil || !st.tcp.BySource {
			t.Error(err)
		}
	}
}

func TestConnectionRules(t *testing.T) {
	for _, l := range []*listenerv3.Listener{tcpListener("x", "h:1", "c"), detectListener("x", "h:1", "c")} {
		got, err := readListener("x", wire(t, specialListener(l)))
		if err != nil {
			t.Fatal(err)
		}
		if want := map[bool]Protocol{true: Detect, false: TCP}[len(l.FilterChains) == 3]; got.protocol != want {
			t.Errorf("protocol %v", got.protocol)
		}
		names := map[string]bool{}
		addNames(got, map[string]bool{}, names)
		if !names["a"] || !names["b"] || !names["c"] {
			t.Errorf("clusters %v", names)
		}
		st, err := compile(&inputs{listener: got, routes: &routes{}}, &Options{})
		if err != nil {
			t.Fatal(err)
		}
		var rules []string
		for _, e := range st.tcp.Exceptions() {
			rules = append(rules, e.String()+": "+e.Split.Backends()[0].Name)
		}
		if got, want := strings.Join(rules, "; "), "to 10.1.0.0/16: b; to fd00::/8: b; SNI a.example.com: a; SNI *.example.com: a"; got != want {
			t.Errorf("rules %q, want %q", got, want)
		}
	}
	for what, c := range map[string]struct {
		m    *listenerv3.FilterChainMatch
		tell string
	}{
		"a star inside":       {&listenerv3.FilterChainMatch{ServerNames: []string{"a.*.com"}}, "server_names[0]"},
		"a part of a label":   {&listenerv3.FilterChainMatch{ServerNames: []string{"*a.com"}}, "server_names[0]"},
		"an empty name":       {&listenerv3.FilterChainMatch{ServerNames: []string{""}}, "server_names[0]"},
		"no address":          {&listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{rangeOf("x", 8)}}, "prefix_ranges[0]"},
		"a long prefix":       {&listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{rangeOf("10.0.0.0", 33)}}, "prefix_len"},
		"no condition":        {nil, "filter_chains[0]"},
		"a source":            {&listenerv3.FilterChainMatch{SourcePrefixRanges: []*corev3.CidrRange{rangeOf("10.0.0.0", 8)}}, "filter_chain_match"},
		"another transport":   {&listenerv3.FilterChainMatch{TransportProtocol: "quic"}, "filter_chains[0]"},
		"another protocol":    {&listenerv3.FilterChainMatch{ServerNames: []string{"a"}, ApplicationProtocols: []string{"h2"}}, "filter_chains[0]"},
		"too many to compare": {&listenerv3.FilterChainMatch{ServerNames: make64("a.b"), PrefixRanges: ranges(65)}, "4096"},
	} {
		_, err := readListener("x", wire(t, special(tcpListener("x", "h:1", "c"), "a", c.m)))
		if err == nil || !strings.Contains(err.Error(), c.tell) {
			t.Errorf("%s: the error does not tell %q: %v", what, c.tell, err)
		}
	}
	// Inbound ports know no such conditions.
	l := inboundListener(inboundChains(80, "http", false))
	l.FilterChains[3].FilterChainMatch.PrefixRanges = ranges(1)
	if _, err := readListener(virtualInbound, wire(t, l)); err == nil {
		t.Error("an inbound chain for a subnet is accepted")
	}
}

func make64(name string) (out []string) {
	for range 64 {
		out = append(out, name)
	}
	return out
}

func ranges(n int) (out []*corev3.CidrRange) {
	for range n {
		out = append(out, rangeOf("10.0.0.0", 8))
	}
	return out
}

// Invalid metadata of a route is refused, and said what of it.
func TestRouteMetadataRefusals(t *testing.T) {
	for v, tell := range map[string]string{"response_timeout=-1s": "response_timeout", "response_timeout=x": "response_timeout", "response_classes=500-599": "500-599",
		"response_classes=500:fail": "500:fail", "response_classes=600-500:ok": "600-500", "response_classes=,": "response_classes", "response_classes=1-2:ok": "1-2"} {
		r := everything()
		k, val, _ := strings.Cut(v, "=")
		r.Metadata = weftMeta(k, val)
		if _, err := readRoutes("x", wire(t, routesWith("x", r))); err == nil || !strings.Contains(err.Error(), tell) {
			t.Errorf("%s: %v", v, err)
		}
	}
	r := everything()
	r.GetRoute().RetryPolicy.RetryPriority.Name = "other"
	if _, err := readRoutes("x", wire(t, routesWith("x", r))); err == nil || !strings.Contains(err.Error(), "retry_priority") {
		t.Errorf("retry_priority: %v", err)
	}
}

// The dump tells settings in short form, and no keys.
func TestDumpTellsSettings(t *testing.T) {
	tcp := specialListener(tcpListener("x", apiHost, "c"))
	cluster := originating("SIMPLE", func(u *tlsv3.UpstreamTlsContext) {
		u.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{CertificateChain: file("/c"), PrivateKey: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "secret"}}}}
	})
	cluster.OutlierDetection = &clusterv3.OutlierDetection{}
	c, err := readCluster(cluster.Name, wire(t, cluster))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(shortSettings(&c.spec), "; "), "originates mutual TLS to bank.example.com, named bank.example.com, trusting /ca.pem; outlier detection: 5 5xx in a row, every 10s for 30s, at most 10%"; got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	r, err := readRoutes(apiHost, wire(t, routesWith(apiHost, everything())))
	if err != nil {
		t.Fatal(err)
	}
	st, err := compile(&inputs{listener: &listener{http: &httpManager{}}, routes: r, budgets: budgets{}}, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := "timeout 3s; try timeout 1s; response timeout 2s; retry 4 times on 5xx,unavailable [409 429], elsewhere, within a budget; fault: delay 1s for 0.01%; " +
		"fault: abort with gRPC status 14 for 0.0007%; cors; rewrite regex ^/v1/(.*)$; rewrite host inner:80; mirror 50% of it to " + clusterB +
		"; hash header x-user; hash cookie s; hash source address; hash query parameter u; status 500-599 is a failure; status 404-404 is a success; 1 changes of request headers"
	if got := strings.Join(shortPolicies(st.routes.Rules[0]), "; "); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	g := newRig(t, nil, tcp, edsCluster("a"), edsCluster("b"), edsCluster("c"), assignmentOf("a"), assignmentOf("b"), assignmentOf("c", "10.0.0.1"))
	if _, err := g.destination("x"); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := g.store.Dump(&b); err != nil || !strings.Contains(b.String(), `"match": "SNI *.example.com"`) {
		t.Errorf("%v: %s", err, b.String())
	}
}
