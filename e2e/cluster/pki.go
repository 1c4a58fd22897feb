package cluster

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
	"net"
	"os"
	"time"
)

// authority signs the cluster's own certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// leaf is one certificate of the cluster's processes.
type leaf struct {
	file   string
	common string
	group  string
	names  []string
	ips    []string
}

var leaves = []leaf{
	{"apiserver", "kube-apiserver", "", []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}, []string{"127.0.0.1", APIServiceIP, NodeIP}},
	{"admin", "admin", "system:masters", nil, nil},
	{"kubelet", "kubelet", "", []string{NodeName}, []string{NodeIP, "127.0.0.1"}},
	{"front", "front-proxy", "", nil, nil},
}

// makeKeys writes the authority, every leaf, the key that signs service
// accounts' tokens, and the administrator's kubeconfig.
func (c *Cluster) makeKeys() error {
	if err := os.MkdirAll(c.in("pki"), 0o700); err != nil {
		return err
	}
	ca, err := c.newAuthority()
	if err != nil {
		return fmt.Errorf("make the cluster's authority: %w", err)
	}
	for i, l := range leaves {
		if err := c.newLeaf(ca, l, int64(i+2)); err != nil {
			return fmt.Errorf("make the certificate of %s: %w", l.file, err)
		}
	}
	sa, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	pub, err := x509.MarshalPKIXPublicKey(sa.Public())
	if err != nil {
		return err
	}
	if err := writePEM(c.pki("sa.pub"), "PUBLIC KEY", pub); err != nil {
		return err
	}
	if err := writeKey(c.pki("sa.key"), sa); err != nil {
		return err
	}
	return c.writeKubeconfig()
}

func (c *Cluster) newAuthority() (authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cluster-ca"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return authority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority{}, err
	}
	if err := writePEM(c.pki("ca.crt"), "CERTIFICATE", der); err != nil {
		return authority{}, err
	}
	return authority{cert, key}, writeKey(c.pki("ca.key"), key)
}

func (c *Cluster) newLeaf(ca authority, l leaf, serial int64) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: l.common}, DNSNames: l.names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if l.group != "" {
		tmpl.Subject.Organization = []string{l.group}
	}
	for _, ip := range l.ips {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(ip))
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		return err
	}
	if err := writePEM(c.pki(l.file+".crt"), "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(c.pki(l.file+".key"), key)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(file, "EC PRIVATE KEY", der)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func (c *Cluster) writeKubeconfig() error {
	return os.WriteFile(c.Kubeconfig(), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: weft-e2e, cluster: {server: "https://%s:%s", certificate-authority: %q}}]
users: [{name: admin, user: {client-certificate: %q, client-key: %q}}]
contexts: [{name: weft-e2e, context: {cluster: weft-e2e, user: admin}}]
current-context: weft-e2e
`, NodeIP, APIPort, c.pki("ca.crt"), c.pki("admin.crt"), c.pki("admin.key")), 0o600)
}
