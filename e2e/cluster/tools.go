package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// tool is one module below modules/ and the programs that are built from it.
type tool struct {
	name     string
	packages []string // import paths of main packages
	programs []string // file names, in the order of packages
	ldflags  string
}

const kubeVersion = "v1.34.4"

var tools = []tool{
	{
		name: "kube",
		packages: []string{
			"k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager", "k8s.io/kubernetes/cmd/kube-scheduler",
			"k8s.io/kubernetes/cmd/kubelet", "k8s.io/kubernetes/cmd/kube-proxy", "k8s.io/kubernetes/cmd/kubectl",
		},
		programs: []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"},
		// Without these the server says v0.0.0 and clients refuse it.
		ldflags: "-X k8s.io/component-base/version.gitVersion=" + kubeVersion + " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=34",
	},
	{name: "etcd", packages: []string{"go.etcd.io/etcd/server/v3"}, programs: []string{"etcd"}},
	{name: "coredns", packages: []string{"github.com/coredns/coredns"}, programs: []string{"coredns"}},
	{name: "fortio", packages: []string{"fortio.org/fortio"}, programs: []string{"fortio"}},
}

// key names what the tool is built from: its module files, its flags and the
// Go release. Another key is another build.
func (t tool) key(l Layout) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, t.ldflags, t.packages)
	for _, f := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(t.module(l), f))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", f, len(b))
		h.Write(b)
	}
	return t.name + "-" + hex.EncodeToString(h.Sum(nil))[:16], nil
}

// module is the folder with the tool's go.mod.
func (t tool) module(l Layout) string {
	return filepath.Join(l.Source, "e2e", "cluster", "modules", t.name)
}

// dir is where the tool's programs are once they are built.
func (t tool) dir(l Layout) (string, error) {
	k, err := t.key(l)
	return filepath.Join(l.Cache, k), err
}

func (t tool) built(dir string) bool {
	for _, p := range t.programs {
		if fi, err := os.Stat(filepath.Join(dir, p)); err != nil || !fi.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// build compiles the tool unless it is there. The folder appears in one
// rename, so that an interrupted build is never mistaken for a finished one.
func (t tool) build(ctx context.Context, l Layout, log io.Writer) (string, error) {
	dir, err := t.dir(l)
	if err != nil || t.built(dir) {
		return dir, err
	}
	fmt.Fprintf(log, "building %s (once; %s)\n", strings.Join(t.programs, ", "), dir)
	if err := os.MkdirAll(l.Cache, 0o755); err != nil {
		return "", err
	}
	t.sweep(l)
	work, err := os.MkdirTemp(l.Cache, ".building-"+t.name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", err
	}
	target := out + "/"
	if len(t.programs) == 1 {
		target = filepath.Join(out, t.programs[0])
	}
	args := append([]string{"build", "-C", t.module(l), "-mod=readonly", "-buildvcs=false", "-ldflags", strings.TrimSpace("-s -w " + t.ldflags), "-o", target}, t.packages...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", t.name, err)
	}
	if !t.built(out) {
		return "", fmt.Errorf("build %s: go build succeeded, but not all of %v are in %s", t.name, t.programs, out)
	}
	os.RemoveAll(dir)
	if err := os.Rename(out, dir); err != nil {
		return "", fmt.Errorf("build %s: %w", t.name, err)
	}
	return dir, nil
}

// sweep removes what builds left that were killed half way. Anything younger
// may be a build that goes on.
func (t tool) sweep(l Layout) {
	old, _ := filepath.Glob(filepath.Join(l.Cache, ".building-"+t.name+"-*"))
	for _, d := range old {
		if fi, err := os.Stat(d); err == nil && time.Since(fi.ModTime()) > 3*time.Hour {
			os.RemoveAll(d) // only takes room
		}
	}
}

// Programs maps a program's name to its file.
type Programs map[string]string

// BuildTools compiles what is missing and returns where everything is.
func BuildTools(ctx context.Context, l Layout, log io.Writer) (Programs, error) {
	p := Programs{}
	for _, t := range tools {
		dir, err := t.build(ctx, l, log)
		if err != nil {
			return nil, err
		}
		for _, name := range t.programs {
			p[name] = filepath.Join(dir, name)
		}
	}
	return p, nil
}
