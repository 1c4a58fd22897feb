package capture

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
)

// recorded is a connection that keeps what is written to it.
type recorded struct {
	net.Conn
	sent []byte
}

func (r *recorded) Write(b []byte) (int, error) {
	r.sent = append(r.sent, b...)
	return r.Conn.Write(b)
}

// flows makes a real TLS connection and returns what each side sent.
func flows(t testing.TB, version uint16) (client, server []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a, b := net.Pipe()
	ca, cb := &recorded{Conn: a}, &recorded{Conn: b}
	s := tls.Server(cb, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MaxVersion: version})
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(s, s, 5)
		done <- err
	}()
	c := tls.Client(ca, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the flow is looked at, not trusted
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	a.Close()
	b.Close()
	return ca.sent, cb.sent
}

func TestReadTLSTellsTheVersion(t *testing.T) {
	for _, want := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := flows(t, want)
		got, err := ReadTLS(server)
		if err != nil || got.Version != want || got.Application == 0 {
			t.Errorf("server of %#x: %+v %v", want, got, err)
		}
		if got, err = ReadTLS(client); err != nil || got.Version != 0 || got.Handshakes == 0 {
			t.Errorf("client of %#x: %+v %v", want, got, err)
		}
		for _, junk := range []string{"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n"} {
			if _, err := ReadTLS(append(server[:len(server):len(server)], junk...)); err == nil {
				t.Errorf("%q after TLS was taken for TLS", junk)
			}
		}
	}
}

func FuzzReadTLS(f *testing.F) {
	client, server := flows(f, tls.VersionTLS13)
	f.Add(client)
	f.Add(server)
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ReadTLS(b)
		if err == nil && len(b) >= 5 && got.Handshakes+got.Application == 0 && b[0] > recordAlert {
			t.Errorf("no record in %x", b)
		}
	})
}
