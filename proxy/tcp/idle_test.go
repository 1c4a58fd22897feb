package tcp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/conntest"
)

// mutual returns configurations that prove themselves to each other.
func mutual(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"x"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	certs := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}
	curves := []tls.CurveID{tls.X25519}
	return &tls.Config{Certificates: certs, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, CurvePreferences: curves},
		&tls.Config{Certificates: certs, RootCAs: pool, ServerName: "x", CurvePreferences: curves, ClientSessionCache: tls.NewLRUClientSessionCache(8)}
}

// hop is client -> pipe -> mutual TLS -> pipe -> server.
type hop struct {
	client, server *net.TCPConn
	done           [2]chan result
}

func newHop(t testing.TB, sc, cc *tls.Config, o Options) *hop {
	t.Helper()
	h := &hop{}
	var w, x, y, z *net.TCPConn
	h.client, w = conntest.TCP(t)
	x, y = conntest.TCP(t)
	z, h.server = conntest.TCP(t)
	x.SetDeadline(time.Time{})
	z.SetDeadline(time.Time{})
	shaken := make(chan error, 1)
	for i := range h.done {
		h.done[i] = make(chan result, 1)
	}
	go func() {
		s, err := conn.Server(context.Background(), conn.New(y), sc)
		shaken <- err
		if err == nil {
			ab, ba, err := Pipe(context.Background(), s, conn.New(z), o)
			h.done[1] <- result{ab, ba, err}
		}
	}()
	go func() {
		c, err := conn.Client(context.Background(), conn.New(x), cc)
		if err == nil {
			ab, ba, err := Pipe(context.Background(), conn.New(w), c, o)
			h.done[0] <- result{ab, ba, err}
		}
	}()
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hop) exchange(t testing.TB, n int) {
	t.Helper()
	p := make([]byte, n)
	for i, from := range []*net.TCPConn{h.client, h.server} {
		to := []*net.TCPConn{h.server, h.client}[i]
		go from.Write(p)
		if _, err := io.ReadFull(to, make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
}

// memory is what heap and stacks hold after a collection.
func memory() (heap, stack uint64) {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, m.StackInuse
}

// What an idle hop costs, both proxies together, the test's own two sockets
// included. The bound is twice of what it was when it was written.
func TestIdleMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector's own memory")
	}
	sc, cc := mutual(t)
	h0, s0 := memory()
	const n = 300
	hops := make([]*hop, n)
	for i := range hops {
		hops[i] = newHop(t, sc, cc, Options{})
		hops[i].exchange(t, 100)
		if i < 10 {
			hops[i].exchange(t, 1<<20)
		}
	}
	h1, s1 := memory()
	t.Logf("an idle hop: %d bytes of heap, %d of stacks", (h1-h0)/n, (s1-s0)/n)
	if got := (h1 - h0 + s1 - s0) / n; got > 48<<10 {
		t.Errorf("an idle hop holds %d bytes", got)
	}
	runtime.KeepAlive(hops)
}
