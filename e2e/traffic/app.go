package traffic

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/e2e/cluster"
)

// App is a pod with the test application's server in it.
type App struct {
	Cluster   *cluster.Cluster
	Namespace string
	Pod       string
	Container string
}

// Tell asks the server for a path past every proxy, such as /fail/503.
func (a App) Tell(ctx context.Context, path string) (string, error) {
	c := Client{Cluster: a.Cluster, Namespace: a.Namespace, Target: "pod/" + a.Pod, Container: a.Container}
	return c.Run(ctx, "/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080"+path)
}

// Seen is how many requests with this x-mark came to the server.
func (a App) Seen(ctx context.Context, mark string) (int, error) {
	out, err := a.Tell(ctx, "/seen/"+mark)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil {
		return 0, fmt.Errorf("seen by %s: %w", a.Pod, err)
	}
	return n, nil
}

// Apps lists the servers of a label selector, with the pods that they are in.
func Apps(ctx context.Context, c *cluster.Cluster, namespace, selector, container string) ([]App, []Pod, error) {
	pods, err := Pods(ctx, c, namespace, selector)
	var out []App
	for _, p := range pods {
		out = append(out, App{Cluster: c, Namespace: namespace, Pod: p.Metadata.Name, Container: container})
	}
	return out, pods, err
}
