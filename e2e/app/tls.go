package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

// tls greets over TLS, whose end it is: its certificate has the server's own
// name, so a client knows that nobody else ended it.
func (s *server) tls(ctx context.Context, l net.Listener) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: s.hostname}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return accept(ctx, l, func(c net.Conn) {
		x := tls.Server(c, config)
		if x.SetDeadline(time.Now().Add(10*time.Second)) != nil || x.HandshakeContext(ctx) != nil {
			return
		}
		name := x.ConnectionState().ServerName
		if name == "" {
			name = "-"
		}
		s.greet(x, name)
		x.CloseWrite() //nolint:errcheck // the client went away
	})
}

// tlsCaller makes a TLS connection and reads who is at its end.
type tlsCaller struct{ address, sni string }

func (c tlsCaller) call(ctx context.Context) (answer, error) {
	// Who answers is checked below, by a name that was not known before.
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.sni, InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			return answer{}, err
		}
	}
	a := answer{code: "ok"}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return a, fmt.Errorf("greeting: %w", err)
	}
	f := strings.Fields(line)
	if len(f) != 4 {
		return a, fmt.Errorf("the greeting is %q", line)
	}
	a.backend, a.version = f[1], f[2]
	asked := c.sni
	if asked == "" {
		asked = "-"
	}
	if by := conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName; by != a.backend || f[3] != asked {
		return a, fmt.Errorf("the certificate is of %s, the greeting of %s, which was asked for %s", by, a.backend, f[3])
	}
	return a, nil
}
