package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/weftmesh/weft/e2e/cluster"
)

// adminToken is the administrator's of an API server that only this process
// and its children can reach for as long as the measurement takes.
const adminToken = "bench-control-administrator"

// apiServer is a kube-apiserver and its etcd, on loopback.
type apiServer struct {
	dir       string
	processes []*process
	config    *rest.Config
	client    kubernetes.Interface
	dynamic   dynamic.Interface
}

// startAPIServer starts both in an empty folder and waits until they serve.
func startAPIServer(ctx context.Context, dir string, log io.Writer) (*apiServer, error) {
	layout, err := cluster.DefaultLayout()
	if err != nil {
		return nil, err
	}
	programs, err := cluster.BuildTools(ctx, layout, log)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	a := &apiServer{dir: dir}
	if err := a.keys(); err != nil {
		return nil, err
	}
	etcd := "http://127.0.0.1:" + ports[0]
	p, err := start(filepath.Join(dir, "etcd.log"), programs["etcd"], "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls=http://127.0.0.1:"+ports[1], "--log-level=warn", "--unsafe-no-fsync", "--quota-backend-bytes=4000000000")
	if err != nil {
		return nil, err
	}
	a.processes = append(a.processes, p)
	p, err = start(filepath.Join(dir, "apiserver.log"), programs["kube-apiserver"], "--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+ports[2],
		"--cert-dir="+filepath.Join(dir, "certs"), "--token-auth-file="+a.in("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-key-file="+a.in("sa.pub"), "--service-account-signing-key-file="+a.in("sa.key"), "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-cluster-ip-range=10.96.0.0/12", "--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount", "--profiling=false", "--shutdown-delay-duration=0s")
	if err != nil {
		return nil, errors.Join(err, a.stop())
	}
	a.processes = append(a.processes, p)
	a.config = &rest.Config{Host: "https://127.0.0.1:" + ports[2], BearerToken: adminToken, TLSClientConfig: rest.TLSClientConfig{Insecure: true}, QPS: -1}
	if err := a.connect(ctx); err != nil {
		return nil, errors.Join(err, a.stop())
	}
	return a, a.writeKubeconfig()
}

func (a *apiServer) connect(ctx context.Context) error {
	typed := rest.CopyConfig(a.config)
	typed.ContentType, typed.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	var err error
	if a.client, err = kubernetes.NewForConfig(typed); err != nil {
		return err
	}
	if a.dynamic, err = dynamic.NewForConfig(a.config); err != nil {
		return err
	}
	return until(ctx, 90*time.Second, "the API server is ready", func() error {
		for _, p := range a.processes {
			if p.ended() {
				return fmt.Errorf("%w: see %s", errEnded, p.log)
			}
		}
		return a.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func (a *apiServer) in(name string) string { return filepath.Join(a.dir, name) }

func (a *apiServer) kubeconfig() string { return a.in("kubeconfig") }

func (a *apiServer) writeKubeconfig() error {
	return os.WriteFile(a.kubeconfig(), fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters: [{name: bench, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: admin, user: {token: %s}}]
contexts: [{name: bench, context: {cluster: bench, user: admin}}]
current-context: bench
`, a.config.Host, adminToken), 0o600)
}

// keys writes what the API server signs service accounts' tokens with, and the
// administrator's token.
func (a *apiServer) keys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		"sa.pub":     pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"tokens.csv": []byte(adminToken + ",admin,admin,system:masters\n"),
	} {
		if err := os.WriteFile(a.in(name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// stop ends what was started, the API server first.
func (a *apiServer) stop() error {
	var errs []error
	for i := len(a.processes) - 1; i >= 0; i-- {
		errs = append(errs, a.processes[i].stop())
	}
	return errors.Join(errs...)
}

func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String()[strings.LastIndexByte(l.Addr().String(), ':')+1:])
	}
	return out, nil
}

// start starts a program with its output in a file.
func start(log string, program string, args ...string) (*process, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = endWithParent()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		// Why it ended stands in its log.
		_ = cmd.Wait()
	}()
	return p, nil
}
