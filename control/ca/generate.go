package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"
)

// generatedLife is how long a generated root and its issuer live. The issuer
// lives as long as the root, since nobody could sign another one.
const generatedLife = 10 * 365 * 24 * time.Hour

// Generate makes a new root and an issuer signed by it. The root's key is
// forgotten: a new issuer needs a new root, which the bundle then holds beside
// the old one.
func Generate(trustDomain string, now time.Time) (Material, error) {
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Material{}, fmt.Errorf("generate root: %w", err)
	}
	root, err := authority("root."+trustDomain, now, generatedLife, 1, &rootKey.PublicKey, nil, rootKey)
	if err != nil {
		return Material{}, fmt.Errorf("generate root: %w", err)
	}
	issuerKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Material{}, fmt.Errorf("generate issuer: %w", err)
	}
	issuer, err := authority("identity."+trustDomain, now, generatedLife, 0, &issuerKey.PublicKey, root, rootKey)
	if err != nil {
		return Material{}, fmt.Errorf("generate issuer: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(issuerKey)
	if err != nil {
		return Material{}, fmt.Errorf("generate issuer: %w", err)
	}
	return Material{
		Cert:  pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Raw}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		Roots: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}),
	}, nil
}

// authority makes a CA certificate; parent nil means signed by itself.
func authority(name string, now time.Time, life time.Duration, pathLen int, pub *ecdsa.PublicKey, parent *x509.Certificate, signer crypto.Signer) (*x509.Certificate, error) {
	sn, err := serial()
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber:          sn,
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(life),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLen:            pathLen,
		MaxPathLenZero:        pathLen == 0,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	if parent == nil {
		parent = t
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, pub, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// serial is random and positive, of 127 bits (RFC 5280, section 4.1.2.2).
func serial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}
