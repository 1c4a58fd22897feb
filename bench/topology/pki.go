package topology

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Files are one certificate and its key, as PEM.
type Files struct{ Cert, Key, Both string }

// PKI is one authority and the certificates of both sidecars, ECDSA P-256.
type PKI struct {
	CA             Files
	Client, Server Files // the outbound and the inbound sidecar
}

// PeerName is the DNS name in both sidecars' certificates, for peers that
// cannot check the SPIFFE identity.
const PeerName = "sidecar"

// The identities of the two sidecars.
const (
	ClientID = "spiffe://cluster.local/ns/default/sa/client"
	ServerID = "spiffe://cluster.local/ns/default/sa/api"
)

// NewPKI makes everything in a folder.
func NewPKI(dir string) (PKI, error) {
	var p PKI
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return p, fmt.Errorf("make a key: %w", err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "bench root"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(96 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	if p.CA, err = sign(dir, "ca", ca, ca, caKey, caKey); err != nil {
		return p, err
	}
	for i, l := range []struct {
		name, id string
		to       *Files
	}{{"client", ClientID, &p.Client}, {"server", ServerID, &p.Server}} {
		id, err := url.Parse(l.id)
		if err != nil {
			return p, err
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return p, fmt.Errorf("make a key: %w", err)
		}
		leaf := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano() + int64(i) + 1), Subject: pkix.Name{CommonName: PeerName}, DNSNames: []string{PeerName}, URIs: []*url.URL{id},
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
		if *l.to, err = sign(dir, l.name, leaf, ca, key, caKey); err != nil {
			return p, err
		}
	}
	return p, nil
}

func sign(dir, name string, c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (Files, error) {
	f := Files{filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem"), filepath.Join(dir, name+"-both.pem")}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		return f, fmt.Errorf("sign %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return f, fmt.Errorf("encode the key of %s: %w", name, err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	for file, b := range map[string][]byte{f.Cert: cert, f.Key: keyPEM, f.Both: append(append([]byte{}, cert...), keyPEM...)} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			return f, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return f, nil
}
