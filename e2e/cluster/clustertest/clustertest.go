// Package clustertest gives a package of tests one cluster: started before
// the first test, ended after the last, with nothing left behind.
package clustertest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/cluster"
)

// Main is the body of a TestMain: it starts the cluster and says where it is,
// lets prepare make it ready for the package's tests, runs them and ends the
// cluster. It returns the exit code; anything of the cluster that is left then
// is a failure.
func Main(m *testing.M, shared **cluster.Cluster, prepare func(context.Context, *cluster.Cluster) error) int {
	l, err := cluster.DefaultLayout()
	if err != nil {
		return fail(err)
	}
	ctx := context.Background()
	c, err := cluster.Up(ctx, l, os.Stderr)
	if err != nil {
		return fail(err)
	}
	*shared = c
	var code int
	if err := prepare(ctx, c); err != nil {
		code = fail(err)
		Dump(ctx, c, filepath.Join(l.Source, "e2e", "out", "prepare"))
	} else {
		code = m.Run()
	}
	if err := cluster.Down(l); err != nil {
		return fail(err)
	}
	if left := cluster.Leftovers(l); len(left) > 0 {
		return fail(fmt.Errorf("the cluster left behind:\n  %s", strings.Join(left, "\n  ")))
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "FAIL:", err)
	return 1
}

// On makes the package's cluster convenient for one test: errors end the
// test, and a failed test leaves a description of the cluster in e2e/out.
func On(t *testing.T, c *cluster.Cluster) *T {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			dir := filepath.Join(c.Source, "e2e", "out", strings.ReplaceAll(t.Name(), "/", "_"))
			Dump(context.Background(), c, dir)
			t.Logf("the cluster's state is described in %s", dir)
		}
	})
	return &T{T: t, Cluster: c}
}

// T is a test on a cluster.
type T struct {
	*testing.T
	*cluster.Cluster
}

// Context ends before the cluster does: when the test ends.
func (t *T) Context() context.Context { return t.T.Context() }

// Run runs a sub-test on the same cluster.
func (t *T) Run(name string, f func(*T)) bool {
	return t.T.Run(name, func(s *testing.T) { f(On(s, t.Cluster)) })
}

// Kube runs kubectl and returns its output; an error ends the test.
func (t *T) Kube(args ...string) string {
	t.Helper()
	out, err := t.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Apply applies a manifest; an error ends the test.
func (t *T) Apply(manifest string) {
	t.Helper()
	if err := t.Cluster.Apply(t.Context(), manifest); err != nil {
		t.Fatal(err)
	}
}

// Namespace makes a namespace for the test and removes it with it. Arguments
// are annotations and labels, such as "annotation linkerd.io/inject=enabled".
func (t *T) Namespace(name string, marks ...string) {
	t.Helper()
	t.Kube("create", "namespace", name)
	t.Cleanup(func() {
		// Not the test's context: it is over by now.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := t.Kubectl(ctx, "delete", "namespace", name, "--ignore-not-found", "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	for _, m := range marks {
		verb, arg, _ := strings.Cut(m, " ")
		switch verb {
		case "annotation":
			t.Kube("annotate", "namespace", name, arg)
		case "label":
			t.Kube("label", "namespace", name, arg)
		default:
			t.Fatalf("Namespace: %q is neither an annotation nor a label", m)
		}
	}
}

// Rollout waits until deployments are complete.
func (t *T) Rollout(namespace string, deployments ...string) {
	t.Helper()
	for _, d := range deployments {
		t.Kube("-n", namespace, "rollout", "status", "deployment/"+d, "--timeout=90s")
	}
}

// Eventually asks until there is no error; the last one ends the test.
func (t *T) Eventually(limit time.Duration, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end) && t.Context().Err() == nil; time.Sleep(100 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %v", limit, err)
}

// Dump writes a description of the cluster into a folder: objects, events,
// and the logs of every container.
func Dump(ctx context.Context, c *cluster.Cluster, dir string) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return
	}
	for name, args := range map[string][]string{
		"pods.txt":    {"get", "pods", "-A", "-o", "wide"},
		"pods.yaml":   {"get", "pods", "-A", "-o", "yaml"},
		"routes.yaml": {"get", "httproutes,grpcroutes,tlsroutes,tcproutes", "-A", "-o", "yaml"},
		"istio.yaml":  {"get", "virtualservices,destinationrules", "-A", "-o", "yaml"},
		"events.txt":  {"get", "events", "-A", "--sort-by=.lastTimestamp"},
		"all.txt":     {"get", "deployments,services,endpointslices,jobs,mutatingwebhookconfigurations,validatingwebhookconfigurations", "-A"},
	} {
		out, err := c.Kubectl(ctx, args...)
		if err != nil {
			out += "\n" + err.Error()
		}
		os.WriteFile(filepath.Join(dir, name), []byte(out), 0o644) //nolint:errcheck // a description, as good as it gets
	}
	pods, err := c.Kubectl(ctx, "get", "pods", "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{"\n"}{end}`)
	if err != nil {
		return
	}
	for _, line := range strings.Split(strings.TrimSpace(pods), "\n") {
		ns, pod, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		var log bytes.Buffer
		for _, previous := range []string{"--previous=false", "--previous=true"} {
			out, _ := c.Kubectl(ctx, "-n", ns, "logs", pod, "--all-containers", "--prefix", "--tail=300", previous)
			log.WriteString(out)
		}
		os.WriteFile(filepath.Join(dir, ns+"_"+pod+".log"), log.Bytes(), 0o644) //nolint:errcheck // as above
	}
}
