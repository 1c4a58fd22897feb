package proxytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/upstream"
)

// authority signs certificates outside of the mesh.
type authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t, key, cert}
}

// sign returns a certificate and its key in PEM.
func (a *authority) sign(name string) (cert, key []byte) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Minute),
		NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kb, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kb})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// bank is a server outside of the mesh that takes TLS only.
type bank struct {
	at    netip.AddrPort
	conns atomic.Int64
	// said is the last client's: SNI, protocol and common name.
	sni, protocol, client atomic.Value
}

func newBank(t testing.TB, cfg *tls.Config, a *authority, name string) *bank {
	t.Helper()
	b := &bank{}
	pair := func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c, err := tls.X509KeyPair(a.sign(name))
		return &c, err
	}
	cfg.GetCertificate = pair
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{TLSConfig: cfg, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				b.conns.Add(1)
			}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b.sni.Store(r.TLS.ServerName)
			b.protocol.Store(r.Proto + " " + r.TLS.NegotiatedProtocol)
			if len(r.TLS.PeerCertificates) > 0 {
				b.client.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
			}
			io.Copy(w, r.Body)
			io.WriteString(w, "balance")
		})}
	go s.ServeTLS(l, "", "")
	t.Cleanup(func() { s.Close() })
	b.at = addr(l)
	return b
}

func write(t testing.TB, name string, b []byte) {
	t.Helper()
	// As the kubelet does it: the new content takes the place of the old at once.
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// client dials banks by TLS of its own.
type originates struct {
	*Workload
	url string
	log lockedBuffer
	to  *bank
}

func newOriginating(t testing.TB, to *bank, p config.Protocol) *originates {
	o := &originates{to: to}
	o.Workload = New(t, NewCA(t), ID("web"), Options{Log: slog.New(slog.NewTextHandler(&o.log, nil))})
	_, out := o.Destination("bank:443", p, Share{o.Cluster("bank", Plain(to.at)), 1})
	o.url = "http://" + out.String()
	return o
}

func (o *originates) apply(s upstream.Spec) {
	s.Name, s.ConnectTimeout = "bank", 10*time.Second
	o.Registry.Apply(s)
}

func TestTLSOrigination(t *testing.T) {
	const name = "bank.example.com"
	ca, other := newAuthority(t, "bank root"), newAuthority(t, "another root")
	dir := t.TempDir()
	roots := upstream.Material{File: filepath.Join(dir, "ca.pem")}
	write(t, roots.File, ca.pem())
	names := []upstream.Name{{Kind: upstream.DNSName, Value: name}}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		b := newBank(t, &tls.Config{MaxVersion: version}, ca, name)
		o := newOriginating(t, b, config.HTTP)
		o.apply(upstream.Spec{Originate: &upstream.Origination{ServerName: name, Roots: roots, Names: names}})
		for i := range 5 {
			code, body, _ := do(t, "POST", o.url, strings.NewReader("my "))
			if code != 200 || body != "my balance" {
				t.Fatalf("%d %q", code, body)
			}
			if i > 0 && b.conns.Load() != 1 {
				t.Errorf("%d connections for %d requests one after another", b.conns.Load(), i+1)
			}
		}
		if b.sni.Load() != name || b.protocol.Load() != "HTTP/1.1 http/1.1" {
			t.Errorf("SNI %v, protocol %v", b.sni.Load(), b.protocol.Load())
		}
		// The same again keeps the connections.
		o.apply(upstream.Spec{Originate: &upstream.Origination{ServerName: name, Roots: roots, Names: append([]upstream.Name(nil), names...)}})
		if code, _, _ := get(t, o.url); code != 200 || b.conns.Load() != 1 {
			t.Errorf("%d, %d connections after the same configuration", code, b.conns.Load())
		}
		// HTTP/2 where the cluster, or a client, speaks it.
		o.apply(upstream.Spec{HTTP2: true, Originate: &upstream.Origination{ServerName: name, Roots: roots, Names: names}})
		r, err := h2client(t).Get(o.url)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 200 || b.protocol.Load() != "HTTP/2.0 h2" {
			t.Errorf("%s by %v", r.Status, b.protocol.Load())
		}
		// Other configurations never use what earlier ones have opened.
		for what, c := range map[string]struct {
			o    upstream.Origination
			code int
		}{
			"another root":      {upstream.Origination{ServerName: name, Roots: upstream.Material{Inline: string(other.pem())}, Names: names}, 503},
			"the root inline":   {upstream.Origination{ServerName: name, Roots: upstream.Material{Inline: string(ca.pem())}, Names: names}, 200},
			"the system's":      {upstream.Origination{ServerName: name, Names: names}, 503},
			"another name":      {upstream.Origination{ServerName: name, Roots: roots, Names: []upstream.Name{{Kind: upstream.DNSName, Value: "other.example.com"}}}, 503},
			"one of two names":  {upstream.Origination{ServerName: name, Roots: roots, Names: append([]upstream.Name{{Kind: upstream.URIName, Value: "spiffe://x"}}, names...)}, 200},
			"any name below":    {upstream.Origination{Roots: roots, Names: []upstream.Name{{Kind: upstream.UnderDomain, Value: "*.example.com"}}}, 200},
			"no name at all":    {upstream.Origination{ServerName: name, Roots: roots}, 503},
			"any certificate":   {upstream.Origination{ServerName: name, Insecure: true}, 200},
			"a file of nothing": {upstream.Origination{ServerName: name, Roots: upstream.Material{File: filepath.Join(dir, "none")}, Names: names}, 503},
		} {
			o.apply(upstream.Spec{Originate: &c.o})
			if code, body, _ := get(t, o.url); code != c.code {
				t.Errorf("%s: %d %q", what, code, body)
			} else if code == 503 && !strings.Contains(body, "cluster bank") {
				t.Errorf("%s: the error does not name the cluster: %q", what, body)
			}
		}
		if v := o.log.String(); !strings.Contains(v, "cluster=bank") {
			t.Errorf("the operator is not told: %s", v)
		}
	}
}

func TestTLSOriginationFollowsFiles(t *testing.T) {
	const name = "bank.example.com"
	ca, clients, newer := newAuthority(t, "bank root"), newAuthority(t, "client root"), newAuthority(t, "newer root")
	dir := t.TempDir()
	in := func(n string) upstream.Material { return upstream.Material{File: filepath.Join(dir, n)} }
	put := func(m upstream.Material, b []byte) { write(t, m.File, b) }
	roots, cert, key := in("ca.pem"), in("cert.pem"), in("key.pem")
	b := newBank(t, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.pool()}, ca, name)
	o := newOriginating(t, b, config.HTTP)
	spec := upstream.Spec{Connections: upstream.Connections{MaxRequests: 1}, Originate: &upstream.Origination{ServerName: name, Roots: roots,
		Names: []upstream.Name{{Kind: upstream.DNSName, Value: name}}, Certificate: cert, Key: key}}
	o.apply(spec)
	try := func(want int, tell string) {
		t.Helper()
		if code, body, _ := get(t, o.url); code != want || !strings.Contains(body, tell) {
			t.Fatalf("%d %q, want %d with %q", code, body, want, tell)
		}
	}
	try(503, "ca.pem")
	put(roots, ca.pem())
	try(503, "cert.pem")
	c, k := clients.sign("first")
	put(cert, c)
	put(key, k)
	try(200, "")
	if b.client.Load() != "first" {
		t.Errorf("client %v", b.client.Load())
	}
	// A certificate whose key has not come yet, and a file that is gone, change nothing.
	c, k = clients.sign("second")
	put(cert, c)
	try(200, "")
	if b.client.Load() != "first" {
		t.Errorf("client %v", b.client.Load())
	}
	put(key, k)
	try(200, "")
	if b.client.Load() != "second" {
		t.Errorf("client %v after a change of its files", b.client.Load())
	}
	os.Remove(key.File)
	try(200, "")
	put(roots, []byte("nonsense"))
	try(200, "")
	// A root that replaces the other one counts from the next connection on.
	put(roots, newer.pem())
	try(503, "cluster bank")
	put(roots, ca.pem())
	try(200, "")
	// A certificate of nobody that the server trusts.
	c, k = newer.sign("stranger")
	put(cert, c)
	put(key, k)
	if code, _, _ := get(t, o.url); code != 503 {
		t.Errorf("%d with a certificate that the server refuses", code)
	}
}

// Bytes are carried in TLS of the user's as well as requests are.
func TestTLSOriginationOfBytes(t *testing.T) {
	ca := newAuthority(t, "root")
	b := newBank(t, &tls.Config{NextProtos: []string{"http/1.1"}}, ca, "bank.example.com")
	o := newOriginating(t, b, config.TCP)
	o.apply(upstream.Spec{Originate: &upstream.Origination{ServerName: "bank.example.com", Roots: upstream.Material{Inline: string(ca.pem())},
		Names: []upstream.Name{{Kind: upstream.DNSName, Value: "bank.example.com"}}}})
	if code, body, _ := get(t, o.url); code != 200 || body != "balance" {
		t.Fatalf("%d %q", code, body)
	}
	if b.protocol.Load() != "HTTP/1.1 " {
		t.Errorf("protocol %v", b.protocol.Load())
	}
}

// DISABLE goes to meshed endpoints without TLS, which strict ones refuse.
func TestTLSDisabled(t *testing.T) {
	url, client, server := pair(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("l5d-client-id")) })
	c := client.Registry.Clusters()
	var name string
	for _, k := range c {
		if len(k.Endpoints()) > 0 {
			name = k.Name()
		}
	}
	for range 2 {
		client.Registry.Apply(upstream.Spec{Name: name, ConnectTimeout: patient})
		if code, body, _ := get(t, url); code != 200 || body == "" {
			t.Fatalf("mesh: %d %q", code, body)
		}
		client.Registry.Apply(upstream.Spec{Name: name, ConnectTimeout: patient, Plaintext: true})
		if code, body, _ := get(t, url); code != 200 || body != "" {
			t.Errorf("DISABLE: %d, the application sees the identity %q", code, body)
		}
	}
	server.Policy(policy.Port{Mode: policy.Strict})
	client.Registry.Apply(upstream.Spec{Name: name, ConnectTimeout: patient, Plaintext: true, Connections: upstream.Connections{MaxRequests: 1}})
	if code, _, _ := get(t, url); code != 503 {
		t.Errorf("DISABLE towards STRICT: %d", code)
	}
}
