package controltest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/control"
	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/control/ca/localtoken"
	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/identity"
)

func TestCertificateOfAWorkload(t *testing.T) {
	m := controltest.Start(t, nil)
	id := identity.ID{TrustDomain: "cluster.local", Namespace: "default", ServiceAccount: "web"}
	_, csr := controltest.CSR(t, id.URL())
	resp, err := m.Sign(m.Token("default", "web", "web-0"), csr)
	if err != nil {
		t.Fatal(err)
	}
	var chain []*x509.Certificate
	for _, der := range resp.GetChain() {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	for _, usage := range []identity.Usage{identity.Server, identity.Client} {
		if got, err := identity.VerifyPeer(chain, m.Roots(), usage, time.Now()); err != nil || got != id {
			t.Errorf("verified as %v, %v", got, err)
		}
	}
	leaf := chain[0]
	if len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "web.default.serviceaccount.identity.weft-system.cluster.local" {
		t.Errorf("DNS names: %v", leaf.DNSNames)
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life < 24*time.Hour || life > 24*time.Hour+time.Minute || time.Since(leaf.NotBefore) < 15*time.Second {
		t.Errorf("valid from %s for %s", leaf.NotBefore, life)
	}
	if len(resp.GetRoots()) != 1 || string(resp.GetRoots()[0]) != string(m.Roots().Roots()[0].Raw) {
		t.Error("the bundle is not that of the mesh")
	}
}

func TestBadRequestsForCertificates(t *testing.T) {
	m := controltest.Start(t, nil)
	good := m.Token("default", "web", "web-0")
	_, csr := controltest.CSR(t)
	tampered := append([]byte(nil), csr...)
	tampered[len(tampered)-1] ^= 1
	_, foreign := controltest.CSR(t, &url.URL{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/default/sa/admin"})
	weak := func(key any) []byte {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := localtoken.LoadKey(filepath.Join(m.State, control.TokenKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	mint := func(key ed25519.PrivateKey, at time.Time) string {
		s, err := localtoken.Mint(key, localtoken.Claims{Namespace: "default", ServiceAccount: "web", Pod: "web-0"}, at, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, c := range []struct {
		name, token string
		csr         []byte
		want        codes.Code
	}{
		{"garbage", good, []byte("no request at all"), codes.InvalidArgument},
		{"empty", good, nil, codes.InvalidArgument},
		{"bad signature", good, tampered, codes.InvalidArgument},
		{"weak curve", good, weak(p224), codes.InvalidArgument},
		{"weak RSA", good, weak(rsa1024), codes.InvalidArgument},
		{"foreign identity", good, foreign, codes.PermissionDenied},
		{"no token", "", csr, codes.Unauthenticated},
		{"garbage token", "a.b.c", csr, codes.Unauthenticated},
		{"expired token", mint(key, time.Now().Add(-2*time.Hour)), csr, codes.Unauthenticated},
		{"token of the future", mint(key, time.Now().Add(2*time.Hour)), csr, codes.Unauthenticated},
		{"foreign token", mint(stranger, time.Now()), csr, codes.Unauthenticated},
		{"token of another pod", m.Token("default", "other", "other-0"), foreign, codes.PermissionDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := m.Sign(c.token, c.csr); status.Code(err) != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// writeIssuer puts material where the control plane reads it.
func writeIssuer(t *testing.T, m *controltest.Mesh, cert, key, roots []byte) {
	t.Helper()
	for name, data := range map[string][]byte{"issuer.pem": cert, "issuer-key.pem": key, control.TrustAnchorsFile: roots} {
		if err := os.WriteFile(filepath.Join(m.State, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIssuerRotation(t *testing.T) {
	m := controltest.Start(t, files())
	old := m.Roots()
	d := m.Delta("weft-proxy", "default", "web", "web-0")
	d.Subscribe(xds.SecretType, xds.RootCA)
	var secret tlsv3.Secret
	roots := func() int {
		b, err := identity.ParseBundlePEM(secret.GetValidationContext().GetTrustedCa().GetInlineBytes())
		if err != nil {
			return 0
		}
		return len(b.Roots())
	}
	d.Wait(xds.SecretType, xds.RootCA, &secret, func() bool { return roots() == 1 })
	next, err := ca.Generate("cluster.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}

	// An issuer that no root of the bundle signed is refused; the old one serves.
	writeIssuer(t, m, next.Cert, next.Key, old.PEM())
	m.Eventually("the bad issuer refused", func() bool { return m.Control.Refused() != nil })
	if m.Control.Ready() != nil {
		t.Errorf("not ready with the last good issuer: %v", m.Control.Ready())
	}
	issuedBy := func() string {
		c := m.Certificate("default", "web")
		leaf, err := x509.ParseCertificate(c.Certificate[len(c.Certificate)-1])
		if err != nil {
			t.Fatal(err)
		}
		return leaf.SerialNumber.String()
	}
	before := issuedBy()

	// With both roots in the bundle the new issuer is taken, and proxies hear of it.
	both := append(append([]byte(nil), old.PEM()...), next.Roots...)
	writeIssuer(t, m, next.Cert, next.Key, both)
	d.Wait(xds.SecretType, xds.RootCA, &secret, func() bool { return roots() == 2 })
	if m.Control.Refused() != nil {
		t.Errorf("refused: %v", m.Control.Refused())
	}
	if after := issuedBy(); after == before {
		t.Error("certificates are still signed by the old issuer")
	}
	// The control plane's own certificate is of the new one too: a client that
	// trusts the new root alone can connect.
	newRoot, err := identity.ParseBundlePEM(next.Roots)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), controltest.Deadline)
	defer cancel()
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: newRoot.Pool(), ServerName: "weft-control.weft-system.svc", NextProtos: []string{"h2"}}}
	conn, err := dialer.DialContext(ctx, "tcp", m.Control.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	// Garbage is refused just so.
	writeIssuer(t, m, []byte("nothing"), next.Key, both)
	m.Eventually("garbage refused", func() bool { return m.Control.Refused() != nil })
	if after := issuedBy(); after == before {
		t.Error("fell back to the old issuer")
	}
}
