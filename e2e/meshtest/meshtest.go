// Package meshtest puts this build of Weft on a test cluster and describes
// the applications that the suites run on it.
package meshtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/traffic"
)

// Names of what install makes.
const (
	Namespace  = "weft-system"
	Deployment = "weft-control"
	Control    = "weft-control" // its program
	Proxy      = "weft-proxy"   // the sidecar's program, and its name for our own switch
	Inject     = "annotation weft.mesh/inject=enabled"
)

// Load imports this build's images, which make images wrote.
func Load(ctx context.Context, c *cluster.Cluster) error {
	files, err := filepath.Glob(filepath.Join(c.Source, "dist", "images", "*.tar"))
	if err != nil {
		return err
	}
	if len(files) < 3 {
		return fmt.Errorf("the images of this build are not in dist/images: make images")
	}
	return c.Import(ctx, files...)
}

// Shell runs a command line with weft and kubectl on PATH.
func Shell(ctx context.Context, c *cluster.Cluster, line string) (string, error) {
	path := filepath.Join(c.Source, "dist", "bin") + ":" + c.Bin() + ":" + os.Getenv("PATH")
	return c.Exec(ctx, nil, "env", "PATH="+path, "bash", "-c", "set -o pipefail; "+line)
}

// Install installs the mesh as its README says and waits until it is ready.
func Install(ctx context.Context, c *cluster.Cluster) error {
	if err := InstallCRDs(ctx, c); err != nil {
		return err
	}
	return InstallControl(ctx, c)
}

// InstallCRDs is the first part of Install.
func InstallCRDs(ctx context.Context, c *cluster.Cluster) error {
	_, err := Shell(ctx, c, "weft install --crds | kubectl apply -f -")
	return err
}

// InstallControl is the second part of Install.
func InstallControl(ctx context.Context, c *cluster.Cluster) error {
	if _, err := Shell(ctx, c, "weft install | kubectl apply -f -"); err != nil {
		return err
	}
	return Ready(ctx, c)
}

// Prepare is Load and Install, for a TestMain.
func Prepare(ctx context.Context, c *cluster.Cluster) error {
	if err := Load(ctx, c); err != nil {
		return err
	}
	return Install(ctx, c)
}

// Ready waits until the control plane is available and its injector answers.
func Ready(ctx context.Context, c *cluster.Cluster) error {
	if _, err := c.Kubectl(ctx, "-n", Namespace, "rollout", "status", "deployment/"+Deployment, "--timeout=60s"); err != nil {
		return err
	}
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"trial","namespace":"default","annotations":{"weft.mesh/inject":"enabled"}},"spec":{"containers":[{"name":"c","image":"localhost/app:e2e"}]}}`
	var last error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		out, err := c.KubectlIn(ctx, strings.NewReader(pod), "create", "--dry-run=server", "-o", "json", "-f", "-")
		if err != nil {
			last = err
			continue
		}
		var got traffic.Pod
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			return err
		}
		if len(got.Sidecars()) == 1 {
			return nil
		}
		last = fmt.Errorf("the injector adds no sidecar")
	}
	return last
}

// App describes a Deployment of the test application and its Service.
type App struct {
	Name, Namespace string
	Version         string // label and VERSION; default is one
	Replicas        int    // default is 1
	Service         string // name of a Service that selects the label app; default is Name
	Annotations     map[string]string
	Grace           int // seconds; default is 30
}

// YAML is its manifest.
func (a App) YAML() string {
	if a.Version == "" {
		a.Version = "one"
	}
	if a.Replicas == 0 {
		a.Replicas = 1
	}
	if a.Service == "" {
		a.Service = a.Name
	}
	if a.Grace == 0 {
		a.Grace = 30
	}
	annotations, err := json.Marshal(a.Annotations)
	if err != nil || a.Annotations == nil {
		annotations = []byte("{}")
	}
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: %[4]d
  selector: {matchLabels: {app: %[5]s, version: %[3]s}}
  template:
    metadata:
      labels: {app: %[5]s, version: %[3]s}
      annotations: %[6]s
    spec:
      terminationGracePeriodSeconds: %[7]d
      containers:
        - name: app
          image: localhost/app:e2e
          imagePullPolicy: Never
          env: [{name: VERSION, value: %[3]s}, {name: GODEBUG, value: http2xconnect=1}]
          ports: [{containerPort: 8080, name: http}, {containerPort: 9090, name: grpc}]
          readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
%[8]s`, a.Name, a.Namespace, a.Version, a.Replicas, a.Service, annotations, a.Grace, Service(a.Service, a.Namespace, "app: "+a.Service))
}

// Service is the manifest of a Service of the test application with all its
// ports.
func Service(name, namespace, selector string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec:
  selector: {%s}
  ports:
    - {name: http, port: 80, targetPort: 8080}
    - {name: grpc, port: 9090}
    - {name: tcp, port: 9000}
    - {name: tcp-first, port: 9001}
    - {name: unnamed, port: 8000, targetPort: 8080}
    - {name: mystery, port: 9999, targetPort: 9001}
    - {name: tls, port: 443, targetPort: 8443}
---
`, name, namespace, selector)
}

// Client is the manifest of a pod with the test application to make load.
func Client(name, namespace string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: %s}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: client, image: "localhost/app:e2e", imagePullPolicy: Never, command: [/bin/busybox, sleep, "1000000"], env: [{name: GODEBUG, value: http2xconnect=1}]}]
---
`, name, namespace)
}

// From is a client in such a pod.
func From(c *cluster.Cluster, namespace, pod string) traffic.Client {
	return traffic.Client{Cluster: c, Namespace: namespace, Target: "pod/" + pod, Container: "client"}
}

// Resident is the resident memory of a process, in bytes, as its node sees it.
func Resident(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	var kib int64
	for _, line := range strings.Split(string(b), "\n") {
		if n, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil && n == 1 {
			return kib << 10, nil
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}
