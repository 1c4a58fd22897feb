package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/traffic"
)

// linkerdCRDs: the kinds that the guide's Linkerd part goes on to use exist.
func linkerdCRDs(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	for _, crd := range []string{"trafficsplits.split.smi-spec.io", "serviceprofiles.linkerd.io"} {
		if err := within(ctx, 10*time.Second, func() error {
			out, err := p.Kubectl(ctx, "get", "crd", crd, "-o", `jsonpath={.status.conditions[?(@.type=="Established")].status}`)
			if err == nil && out != "True" {
				err = fmt.Errorf("crd %s is not established", crd)
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// linkerdInstall: the components become ready, and the injector answers.
func linkerdInstall(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	if err := p.platformReady(ctx); err != nil {
		return err
	}
	return p.injects(ctx, "default", `"linkerd.io/inject":"enabled"`, "linkerd-proxy")
}

// vizInstall: after it, what it deployed is ready and answers a question.
func vizInstall(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	if err := p.platformReady(ctx); err != nil {
		return err
	}
	return within(ctx, 30*time.Second, func() error {
		_, err := p.sh(ctx, "linkerd viz stat deploy -n production")
		return err
	})
}

// linkerdInject: the existing Deployments get the sidecar.
func linkerdInject(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	return p.meshed(ctx, "linkerd-proxy")
}

// linkerdAnnotate: a new pod gets the sidecar without asking for it.
func linkerdAnnotate(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	return p.injects(ctx, "production", "", "linkerd-proxy")
}

// stat wants a row for each Deployment with all pods meshed, and success,
// rate and latency for the one that has traffic.
func stat(ctx context.Context, p *Pass, command string, names ...string) error {
	return within(ctx, 45*time.Second, func() error {
		out, err := p.sh(ctx, command)
		if err != nil {
			return err
		}
		rows := table(out)
		for _, name := range names {
			row := rows[name]
			have, want, _ := strings.Cut(row["MESHED"], "/")
			if have == "" || have == "0" || have != want {
				return fmt.Errorf("%s is not shown as meshed%s", name, tail(out))
			}
		}
		api := rows["api"]
		if !strings.HasSuffix(api["SUCCESS"], "%") || !strings.HasSuffix(api["RPS"], "rps") || api["RPS"] == "0.0rps" || !strings.HasSuffix(api["LATENCY_P99"], "ms") {
			return fmt.Errorf("api has no success rate, rate and latency%s", tail(out))
		}
		return nil
	})
}

func vizStat(ctx context.Context, p *Pass, s Step) error {
	return stat(ctx, p, s.Text, "api", "api-canary", "frontend")
}

func vizStatOne(ctx context.Context, p *Pass, s Step) error { return stat(ctx, p, s.Text, "api") }

// vizTop: requests appear while they happen, with method and path.
func vizTop(ctx context.Context, p *Pass, s Step) error {
	return p.watch(ctx, s.Text, 20*time.Second, func(out string) error {
		if !strings.Contains(out, "GET") || !strings.Contains(out, "/api/v1/users") {
			return errors.New("no request to /api/v1/users is shown")
		}
		return nil
	})
}

// vizRoutes: the requests to api are counted by route.
func vizRoutes(ctx context.Context, p *Pass, s Step) error {
	return within(ctx, 45*time.Second, func() error {
		out, err := p.sh(ctx, s.Text)
		if err != nil {
			return err
		}
		for _, row := range table(out) {
			if row["SERVICE"] == "api" && strings.HasSuffix(row["SUCCESS"], "%") && row["RPS"] != "0.0rps" {
				return nil
			}
		}
		return fmt.Errorf("no route of api has traffic%s", tail(out))
	})
}

// vizEdges: the edge from frontend to api is there, and secured.
func vizEdges(ctx context.Context, p *Pass, s Step) error {
	return within(ctx, 45*time.Second, func() error {
		out, err := p.sh(ctx, s.Text)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(out, "\n") {
			f := strings.Fields(line)
			if len(f) >= 5 && f[0] == "frontend" && f[1] == "api" && f[4] == "√" {
				return nil
			}
		}
		return fmt.Errorf("no secured edge from frontend to api%s", tail(out))
	})
}

// jaegerInstall: after it, what it deployed is ready.
func jaegerInstall(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	return p.platformReady(ctx)
}

// linkerdResources: a sidecar can be given these resources, and lives on them
// under load.
func linkerdResources(ctx context.Context, p *Pass, _ Step) error {
	return p.resources(ctx, "linkerd-proxy",
		map[string]string{"cpu": "10m", "memory": "20Mi"}, map[string]string{"cpu": "100m", "memory": "50Mi"},
		"config.linkerd.io/proxy-cpu-request", "10m", "config.linkerd.io/proxy-memory-request", "20Mi",
		"config.linkerd.io/proxy-cpu-limit", "100m", "config.linkerd.io/proxy-memory-limit", "50Mi")
}

// resources annotates the canary's pods and looks at what its sidecar got.
func (p *Pass) resources(ctx context.Context, container string, requests, limits map[string]string, annotations ...string) error {
	var pairs []string
	for i := 0; i+1 < len(annotations); i += 2 {
		pairs = append(pairs, fmt.Sprintf("%q:%q", annotations[i], annotations[i+1]))
	}
	patch := `{"spec":{"template":{"metadata":{"annotations":{` + strings.Join(pairs, ",") + `}}}}}`
	if _, err := p.Kubectl(ctx, "-n", "production", "patch", "deployment", "api-canary", "-p", patch); err != nil {
		return err
	}
	if err := p.rolledOut(ctx); err != nil {
		return err
	}
	pods, err := traffic.Pods(ctx, p.Cluster, "production", "version=canary")
	if err != nil {
		return err
	}
	if len(pods) == 0 {
		return errors.New("no pod of the canary")
	}
	for _, pod := range pods {
		c, ok := pod.Container(container)
		if !ok {
			return fmt.Errorf("pod %s has no %s", pod.Metadata.Name, container)
		}
		for what, want := range requests {
			if got := c.Resources.Requests[what]; got != want {
				return fmt.Errorf("%s requests %s of %s, not %s", container, got, what, want)
			}
		}
		for what, want := range limits {
			if got := c.Resources.Limits[what]; !sameQuantity(got, want) {
				return fmt.Errorf("%s is limited to %s of %s, not %s", container, got, what, want)
			}
		}
	}
	r, err := p.load(ctx, "-rate", "50", "-n", "200", "-target", "http://api-canary/api/v1/users")
	if err != nil {
		return err
	}
	if err := r.Problem(); err != nil {
		return err
	}
	for _, pod := range pods {
		if now, _ := pod.ContainerStatus(container); now.RestartCount > 0 {
			return fmt.Errorf("%s of %s was restarted", container, pod.Metadata.Name)
		}
	}
	return nil
}

// sameQuantity knows the one quantity that Kubernetes writes in another way.
func sameQuantity(a, b string) bool { return a == b || a == "2" && b == "2000m" }

// vizTap: single requests appear as they happen, with method, path and status.
func vizTap(ctx context.Context, p *Pass, s Step) error {
	return p.watch(ctx, s.Text, 20*time.Second, func(out string) error {
		if !strings.Contains(out, "req id=") || !strings.Contains(out, ":path=/api/v1/users") || !strings.Contains(out, "rsp id=") || !strings.Contains(out, ":status=200") {
			return errors.New("no request to /api/v1/users with its response is shown")
		}
		return nil
	})
}
