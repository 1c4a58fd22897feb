package conn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conntest"
)

func pair(t testing.TB) (a, b *Conn) {
	x, y := conntest.TCP(t)
	return New(x), New(y)
}

func config(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"p"}},
		&tls.Config{RootCAs: pool, ServerName: "x", NextProtos: []string{"p"}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
}

// tlsPair returns both ends, client first.
func tlsPair(t testing.TB, a, b *Conn) (*Conn, *Conn) {
	t.Helper()
	sc, cc := config(t)
	type res struct {
		c   *Conn
		err error
	}
	ch := make(chan res, 1)
	go func() {
		c, err := Server(context.Background(), b, sc)
		if err == nil {
			err = c.Flush()
			if err == nil {
				err = c.under.Flush()
			}
		}
		ch <- res{c, err}
	}()
	c, err := Client(context.Background(), a, cc)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	return c, r.c
}

// kinds runs f over every transport that a Conn can have.
func kinds(t *testing.T, f func(t *testing.T, a, b *Conn)) {
	t.Run("tcp", func(t *testing.T) { a, b := pair(t); f(t, a, b) })
	t.Run("pipe", func(t *testing.T) { x, y := net.Pipe(); f(t, New(x), New(y)) })
	t.Run("tls", func(t *testing.T) { a, b := pair(t); c, s := tlsPair(t, a, b); f(t, c, s) })
	t.Run("tls-pipe", func(t *testing.T) {
		x, y := net.Pipe()
		sc, cc := config(t)
		sc.SessionTicketsDisabled = true // nobody reads them while the handshake ends
		a, b := New(x), New(y)
		ch := make(chan *Conn, 1)
		go func() {
			c, err := Server(context.Background(), b, sc)
			if err != nil {
				t.Error(err)
			}
			ch <- c
		}()
		c, err := Client(context.Background(), a, cc)
		if err != nil {
			t.Fatal(err)
		}
		go c.Flush()
		f(t, c, <-ch)
	})
	t.Run("tls-foreign", func(t *testing.T) {
		a, b := pair(t)
		sc, cc := config(t)
		ts, tc := tls.Server(b, sc), tls.Client(a, cc)
		done := make(chan error, 1)
		go func() {
			err := ts.Handshake()
			if err == nil {
				err = b.Flush()
			}
			done <- err
		}()
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		f(t, NewTLS(a, tc), NewTLS(b, ts))
	})
}

func readAll(t *testing.T, c *Conn, n int) []byte {
	t.Helper()
	var out []byte
	for len(out) < n {
		if len(c.Buffered()) == 0 {
			if err := c.Fill(); err != nil {
				t.Errorf("after %d of %d bytes: %v", len(out), n, err)
				return out
			}
		}
		out = append(out, c.Buffered()...)
		c.Discard(len(c.Buffered()))
	}
	return out
}
