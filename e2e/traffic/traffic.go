// Package traffic puts load on services of the test cluster, from inside its
// pods, and reads what came of it.
package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/cluster"
)

// Client is a container with the test application in it.
type Client struct {
	Cluster   *cluster.Cluster
	Namespace string
	Target    string // as kubectl exec takes it: deploy/frontend, pod/client
	Container string
}

// Load runs the test application's client with these arguments and waits for
// its report. Failed requests are in the report; an error means that the
// client could not be run.
func (c Client) Load(ctx context.Context, args ...string) (report.Report, error) {
	var r report.Report
	out, err := c.Run(ctx, append([]string{"/app", "load"}, args...)...)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return r, fmt.Errorf("the client's report: %w: %s", err, out)
	}
	return r, nil
}

// Run runs a command in the container and returns its output.
func (c Client) Run(ctx context.Context, command ...string) (string, error) {
	args := append([]string{"-n", c.Namespace, "exec", c.Target, "-c", c.Container, "--"}, command...)
	return c.Cluster.Kubectl(ctx, args...)
}

// Pods lists the pods of a label selector that are not on their way out.
func Pods(ctx context.Context, c *cluster.Cluster, namespace, selector string) ([]Pod, error) {
	out, err := c.Kubectl(ctx, "-n", namespace, "get", "pods", "-l", selector, "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []Pod }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	var alive []Pod
	for _, p := range list.Items {
		if p.Metadata.DeletionTimestamp == "" {
			alive = append(alive, p)
		}
	}
	return alive, nil
}

// Pod is what the tests want to know of one.
type Pod struct {
	Metadata struct {
		Name, DeletionTimestamp string
		Labels, Annotations     map[string]string
	}
	Spec struct {
		Containers     []Container
		InitContainers []Container
	}
	Status struct {
		Phase                 string
		PodIP                 string
		ContainerStatuses     []Status
		InitContainerStatuses []Status
	}
}

// Container is a container of a pod's specification.
type Container struct {
	Name          string
	Image         string
	RestartPolicy string
	Resources     struct{ Requests, Limits map[string]string }
}

// Status is a container's status.
type Status struct {
	Name         string
	Ready        bool
	RestartCount int
	ContainerID  string
}

// Container returns a container, or a sidecar among the init containers.
func (p Pod) Container(name string) (Container, bool) {
	for _, c := range append(p.Spec.Containers, p.Spec.InitContainers...) {
		if c.Name == name {
			return c, true
		}
	}
	return Container{}, false
}

// ContainerStatus returns a container's status, or a sidecar's.
func (p Pod) ContainerStatus(name string) (Status, bool) {
	for _, c := range append(p.Status.ContainerStatuses, p.Status.InitContainerStatuses...) {
		if c.Name == name {
			return c, true
		}
	}
	return Status{}, false
}

// Sidecars lists the containers that a mesh added.
func (p Pod) Sidecars() []string {
	var out []string
	for _, c := range append(p.Spec.Containers, p.Spec.InitContainers...) {
		if strings.HasSuffix(c.Name, "-proxy") {
			out = append(out, c.Name)
		}
	}
	return out
}
