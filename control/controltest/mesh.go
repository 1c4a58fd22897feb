package controltest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/weftmesh/weft/control"
	"github.com/weftmesh/weft/control/ca/localtoken"
	cav1 "github.com/weftmesh/weft/gen/weft/ca/v1"
	"github.com/weftmesh/weft/identity"
)

// Deadline of everything that a test waits for.
const Deadline = 20 * time.Second

// Mesh is a running control plane.
type Mesh struct {
	Dir, State string
	Control    *control.Control

	t    testing.TB
	stop func()
}

// Start runs a control plane on the given files (name → YAML) until the test
// ends. The options may be changed before it starts.
func Start(t testing.TB, files map[string]string, change ...func(*control.Options)) *Mesh {
	t.Helper()
	m := &Mesh{t: t, Dir: t.TempDir(), State: t.TempDir()}
	for name, yaml := range files {
		m.Write(name, yaml)
	}
	m.Run("127.0.0.1:0", change...)
	return m
}

// Run starts the control plane on an address; Start does it for the first time.
func (m *Mesh) Run(listen string, change ...func(*control.Options)) {
	m.t.Helper()
	o := control.Options{Source: control.File, Dir: m.Dir, StateDir: m.State, Listen: listen, AdminListen: "127.0.0.1:0",
		Log: slog.New(slog.NewTextHandler(testWriter{m.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	for _, f := range change {
		f(&o)
	}
	c, err := control.New(o)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Control = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("control plane: %v", err)
		}
	})
	m.t.Cleanup(func() { m.stop() })
	m.Eventually("control plane ready", func() bool { return c.Ready() == nil })
}

// Stop ends the control plane; Run may start it again.
func (m *Mesh) Stop() { m.stop() }

// Write puts a file into the folder in one step.
func (m *Mesh) Write(name, yaml string) {
	m.t.Helper()
	file := filepath.Join(m.Dir, name)
	tmp := filepath.Join(m.State, "new-"+filepath.Base(name))
	if err := os.WriteFile(tmp, []byte(yaml), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(tmp, file); err != nil {
		m.t.Fatal(err)
	}
}

// Remove takes a file away.
func (m *Mesh) Remove(name string) {
	m.t.Helper()
	if err := os.Remove(filepath.Join(m.Dir, name)); err != nil {
		m.t.Fatal(err)
	}
}

// Eventually waits until the condition holds.
func (m *Mesh) Eventually(what string, cond func() bool) {
	m.t.Helper()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(Deadline); !cond(); <-again.C {
		if time.Now().After(end) {
			m.t.Fatalf("not within %s: %s", Deadline, what)
		}
	}
}

// Token mints the token of a workload.
func (m *Mesh) Token(namespace, account, pod string) string {
	m.t.Helper()
	key, err := localtoken.LoadOrCreateKey(filepath.Join(m.State, control.TokenKeyFile))
	if err != nil {
		m.t.Fatal(err)
	}
	token, err := localtoken.Mint(key, localtoken.Claims{Namespace: namespace, ServiceAccount: account, Pod: pod}, time.Now(), time.Hour)
	if err != nil {
		m.t.Fatal(err)
	}
	return token
}

// Roots is the trust bundle as the control plane wrote it.
func (m *Mesh) Roots() *identity.Bundle {
	m.t.Helper()
	pem, err := os.ReadFile(filepath.Join(m.State, control.TrustAnchorsFile))
	if err != nil {
		m.t.Fatal(err)
	}
	b, err := identity.ParseBundlePEM(pem)
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// Dial opens a connection; the certificate may be nil.
func (m *Mesh) Dial(cert *tls.Certificate, opts ...grpc.DialOption) *grpc.ClientConn {
	m.t.Helper()
	c := &tls.Config{RootCAs: m.Roots().Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS13}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	conn, err := grpc.NewClient(m.Control.Address().String(), append(opts, grpc.WithTransportCredentials(credentials.NewTLS(c)))...)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return conn
}

// Sign sends a request for a certificate with a token, which may be empty.
func (m *Mesh) Sign(token string, csr []byte) (*cav1.SignResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	return cav1.NewCertificateAuthorityClient(m.Dial(nil)).Sign(ctx, &cav1.SignRequest{Csr: csr})
}

// CSR makes a key and a request for it that names the URIs.
func CSR(t testing.TB, uris ...*url.URL) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: uris}, key)
	if err != nil {
		t.Fatal(err)
	}
	return key, der
}

// Certificate gets a workload's certificate from the control plane.
func (m *Mesh) Certificate(namespace, account string) *tls.Certificate {
	m.t.Helper()
	key, csr := CSR(m.t)
	resp, err := m.Sign(m.Token(namespace, account, account+"-0"), csr)
	if err != nil {
		m.t.Fatal(err)
	}
	return &tls.Certificate{Certificate: resp.GetChain(), PrivateKey: key}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
