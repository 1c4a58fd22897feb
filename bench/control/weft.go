package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/control/ca"
	"github.com/weftmesh/weft/identity"
)

// trustDomain of the mesh.
const trustDomain = "cluster.local"

// weft is a running weft-control.
type weft struct {
	*process
	discovery, admin string
	took             time.Duration // from the start to ready
	startCPU         time.Duration
}

// authority signs the certificates of the simulated proxies with the issuer
// that weft-control has too.
type authority struct {
	dir    string
	issuer *ca.Authority
	roots  *x509.CertPool
}

func newAuthority(dir string) (*authority, error) {
	m, err := ca.Generate(trustDomain, time.Now())
	if err != nil {
		return nil, err
	}
	for name, text := range map[string][]byte{"crt.pem": m.Cert, "key.pem": m.Key, "roots.pem": m.Roots} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	a := &authority{dir: dir, roots: x509.NewCertPool()}
	a.roots.AppendCertsFromPEM(m.Roots)
	a.issuer = ca.NewAuthority(rootNamespace, slog.New(slog.DiscardHandler), nil)
	return a, a.issuer.Update(m)
}

// leaf makes the certificate of a workload.
func (a *authority) leaf(namespace, account string) (tls.Certificate, error) {
	id, err := identity.NewID(trustDomain, namespace, account)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	chain, _, err := a.issuer.Sign(csr, id)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: chain, PrivateKey: key}, nil
}

// startWeft starts weft-control and waits until it is ready.
func startWeft(ctx context.Context, program string, api *apiServer, a *authority, more ...string) (*weft, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	w := &weft{discovery: "127.0.0.1:" + ports[0], admin: "127.0.0.1:" + ports[1]}
	began := time.Now()
	args := append([]string{"--kubeconfig=" + api.kubeconfig(), "--listen=" + w.discovery, "--admin-listen=" + w.admin, "--webhook-listen=", "--issuer-secret=",
		"--issuer-cert=" + filepath.Join(a.dir, "crt.pem"), "--issuer-key=" + filepath.Join(a.dir, "key.pem"), "--trust-anchors=" + filepath.Join(a.dir, "roots.pem"),
		"--namespace=" + rootNamespace, "--pod-name=bench", "--log-level=error"}, more...)
	if w.process, err = start(filepath.Join(a.dir, "weft-control.log"), program, args...); err != nil {
		return nil, err
	}
	client := http.Client{Timeout: 5 * time.Second}
	err = until(ctx, 2*time.Minute, "weft-control is ready", func() error {
		if w.ended() {
			return fmt.Errorf("weft-control: %w: see %s", errEnded, w.log)
		}
		resp, err := client.Get("http://" + w.admin + "/ready")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return errors.New(resp.Status)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, w.stop())
	}
	w.took = time.Since(began)
	w.startCPU, err = w.cpu()
	return w, err
}

// metric reads one number of the metrics; one with labels is summed up.
func (w *weft) metric(name string) (float64, error) {
	resp, err := http.Get("http://" + w.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	sum, found := 0.0, false
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		left, value, ok := strings.Cut(lines.Text(), " ")
		if base, _, _ := strings.Cut(left, "{"); !ok || base != name {
			continue
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s: %w", name, err)
		}
		sum, found = sum+v, true
	}
	if !found {
		return 0, fmt.Errorf("weft-control has no metric %s", name)
	}
	return sum, lines.Err()
}
