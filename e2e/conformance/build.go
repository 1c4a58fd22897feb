package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/internal/image"
)

// builder makes the suite's program and the image of its applications.
type builder struct {
	layout cluster.Layout
	suite  string
	log    io.Writer
}

const suiteModule = "sigs.k8s.io/gateway-api/conformance"

// module is the folder of the go.mod from which something is built.
func (b builder) module(name string) string {
	return filepath.Join(b.layout.Source, "e2e", "conformance", "modules", name)
}

// suiteFolder is the module that requires the suite. Another version than the
// pinned one is put together below dist.
func (b builder) suiteFolder(ctx context.Context) (string, error) {
	if b.suite == "v1.6.3" {
		return b.module("suite"), nil
	}
	return b.lowered(ctx)
}

// program compiles the suite's own tests.
func (b builder) program(ctx context.Context) (string, error) {
	dir, err := b.suiteFolder(ctx)
	if err != nil {
		return "", err
	}
	return b.cached(dir, "conformance.test", func(to string) error {
		return b.goTool(ctx, dir, "test", "-c", "-mod=readonly", "-ldflags=-s -w", "-o", to, suiteModule)
	})
}

// cached builds a file unless it was built from the same go.mod before.
func (b builder) cached(dir, name string, build func(to string) error) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, dir)
	for _, f := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return "", err
		}
		h.Write(raw)
	}
	out := filepath.Join(b.layout.Cache, "conformance-"+hex.EncodeToString(h.Sum(nil))[:16], name)
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	fmt.Fprintf(b.log, "building %s (once; %s)\n", name, out)
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return "", err
	}
	// The file appears in one rename, complete.
	if err := build(out + ".part"); err != nil {
		return "", fmt.Errorf("build %s: %w", name, err)
	}
	return out, os.Rename(out+".part", out)
}

func (b builder) goTool(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, b.log, b.log
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false", "GOWORK=off")
	return cmd.Run()
}

// goList answers a question about the suite's modules.
func (b builder) goList(ctx context.Context, dir, format, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-mod=readonly", "-m", "-f", format, module)
	cmd.Dir, cmd.Stderr = dir, b.log
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

var imageLine = regexp.MustCompile(`(?m)^\s*image:\s*(\S+echo-advanced\S+)\s*$`)

// images makes the image that the suite's manifests for meshes name, and
// returns its archive.
func (b builder) images(ctx context.Context) ([]string, error) {
	dir, err := b.suiteFolder(ctx)
	if err != nil {
		return nil, err
	}
	source, err := b.goList(ctx, dir, "{{.Dir}}", suiteModule)
	if err != nil {
		return nil, err
	}
	manifests, err := os.ReadFile(filepath.Join(source, "mesh", "manifests.yaml"))
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, m := range imageLine.FindAllSubmatch(manifests, -1) {
		names[string(m[1])] = true
	}
	if n := bytes.Count(manifests, []byte("image:")); len(names) == 0 || n != len(imageLine.FindAll(manifests, -1)) {
		return nil, fmt.Errorf("the suite's manifests name images that are not known here: %s/mesh/manifests.yaml", source)
	}
	files := []image.File{}
	for _, p := range []string{"server", "client"} {
		f, err := b.cached(b.module("echo"), p, func(to string) error {
			return b.goTool(ctx, b.module("echo"), "build", "-mod=readonly", "-trimpath", "-ldflags=-s -w", "-o", to, "istio.io/istio/pkg/test/echo/cmd/"+p)
		})
		if err != nil {
			return nil, err
		}
		files = append(files, image.File{Path: "/usr/local/bin/" + p, Source: f})
	}
	cert, key, err := certificate()
	if err != nil {
		return nil, err
	}
	files = append(files, image.File{Path: "/cert.crt", Content: cert, Mode: 0o444}, image.File{Path: "/cert.key", Content: key, Mode: 0o444},
		image.File{Path: "/tmp/.keep", Content: []byte{}, Mode: 0o444})
	var out []string
	for name := range names {
		f := filepath.Join(b.layout.Cache, "images", strings.NewReplacer("/", "_", ":", "_").Replace(name)+".tar")
		if err := os.MkdirAll(filepath.Dir(f), 0o755); err != nil {
			return nil, err
		}
		err := image.WriteFile(f, image.Spec{Name: name, Files: files, Entrypoint: []string{"/usr/local/bin/server"}, User: "1338:1338",
			Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Arch: runtime.GOARCH})
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// certificate is what the application serves TLS with; nobody verifies it.
func certificate() (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "echo"}, DNSNames: []string{"echo"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.PublicKey, k)
	if err != nil {
		return nil, nil, err
	}
	kd, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kd}), nil
}
