package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/traffic"
)

// precheck: it says that nothing stands in the way.
func precheck(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "No issues found") {
		return fmt.Errorf("it does not say that no issues were found%s", tail(out))
	}
	return nil
}

// istioInstall: it says that it is complete, the components are ready, and a
// pod of a labelled namespace would be injected.
func istioInstall(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "Installation complete") {
		return fmt.Errorf("it does not say that the installation is complete%s", tail(out))
	}
	if err := p.platformReady(ctx); err != nil {
		return err
	}
	if err := p.apply(ctx, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"trial","labels":{"istio-injection":"enabled"}}}`); err != nil {
		return err
	}
	return p.injects(ctx, "trial", "", "istio-proxy")
}

// verifyInstall: it looked and found everything.
func verifyInstall(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "verified successfully") {
		return fmt.Errorf("it does not say that the installation was verified%s", tail(out))
	}
	return nil
}

// istioPods: the control plane's pods are listed, all of them running.
func istioPods(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	rows := table(out)
	if len(rows) == 0 {
		return fmt.Errorf("no pods%s", tail(out))
	}
	for name, row := range rows {
		ready, all, _ := strings.Cut(row["READY"], "/")
		if row["STATUS"] != "Running" || ready != all {
			return fmt.Errorf("pod %s is %s, ready %s", name, row["STATUS"], row["READY"])
		}
	}
	return nil
}

// istioLabel: a new pod gets the sidecar.
func istioLabel(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	return p.injects(ctx, "production", "", "istio-proxy")
}

// istioRestart: the rolling update adds sidecars to the existing Deployments.
func istioRestart(ctx context.Context, p *Pass, s Step) error {
	if _, err := p.sh(ctx, s.Text); err != nil {
		return err
	}
	return p.meshed(ctx, "istio-proxy")
}

// strict: whoever has no identity is turned away, and was not before.
func strict(ctx context.Context, p *Pass, s Step) error {
	r, err := p.stranger(ctx, "-rate", "20", "-n", "20", "-new-connections")
	if err != nil {
		return err
	}
	if err := r.Problem(); err != nil {
		return fmt.Errorf("before the policy: %w", err)
	}
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	if err := within(ctx, 20*time.Second, func() error {
		r, err := p.stranger(ctx, "-rate", "20", "-n", "20", "-new-connections")
		if err != nil {
			return err
		}
		if r.OK > 0 {
			return fmt.Errorf("%d of %d requests without mutual TLS are answered", r.OK, r.Sent)
		}
		return nil
	}); err != nil {
		return err
	}
	if r, err = p.load(ctx, "-rate", "50", "-n", "100"); err != nil {
		return err
	}
	return r.Problem()
}

// authorization: the frontend may GET and POST below /api/v1, nothing else;
// nobody else may do anything.
func authorization(ctx context.Context, p *Pass, s Step) error {
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	return within(ctx, 30*time.Second, func() error {
		for _, c := range []struct {
			what    string
			args    []string
			allowed bool
		}{
			{"GET /api/v1/users by frontend", nil, true},
			{"POST /api/v1/users by frontend", []string{"-body", "x"}, true},
			{"GET /other by frontend", []string{"-target", "http://api/other"}, false},
			{"PUT /api/v1/users by frontend", []string{"-body", "x", "-method", "PUT"}, false},
		} {
			r, err := p.load(ctx, append([]string{"-rate", "50", "-n", "20"}, c.args...)...)
			if err != nil {
				return err
			}
			if c.allowed && r.Failed > 0 || !c.allowed && r.Codes["403"] != r.Sent {
				return fmt.Errorf("%s: allowed %v is wanted, the answers are %v", c.what, c.allowed, r.Codes)
			}
		}
		other := traffic.Client{Cluster: p.Cluster, Namespace: "production", Target: "deploy/api-canary", Container: "api"}
		r, err := other.Load(ctx, "-target", "http://api/api/v1/users", "-rate", "50", "-n", "20")
		if err != nil {
			return err
		}
		if r.Codes["403"] != r.Sent {
			return fmt.Errorf("another service account than frontend's is answered %v", r.Codes)
		}
		return nil
	})
}

// istioResources: a sidecar can be given these resources.
func istioResources(ctx context.Context, p *Pass, _ Step) error {
	return p.resources(ctx, "istio-proxy",
		map[string]string{"cpu": "100m", "memory": "128Mi"}, map[string]string{"cpu": "2000m", "memory": "1Gi"},
		"sidecar.istio.io/proxyCPU", "100m", "sidecar.istio.io/proxyMemory", "128Mi",
		"sidecar.istio.io/proxyCPULimit", "2000m", "sidecar.istio.io/proxyMemoryLimit", "1Gi")
}

// istioAnnotations: the annotations of the block size the sidecar.
func istioAnnotations(ctx context.Context, p *Pass, s Step) error {
	cpu, memory := strings.Trim(strings.Fields(field(s.Text, "sidecar.istio.io/proxyCPU:"))[0], `"`), strings.Trim(strings.Fields(field(s.Text, "sidecar.istio.io/proxyMemory:"))[0], `"`)
	return p.resources(ctx, "istio-proxy", map[string]string{"cpu": cpu, "memory": memory}, nil,
		"sidecar.istio.io/proxyCPU", cpu, "sidecar.istio.io/proxyMemory", memory)
}

// analyze: it judges the namespace, and finds a fault when there is one.
func analyze(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "No validation issues found") && !strings.Contains(out, "[IST") {
		return fmt.Errorf("it says nothing of the namespace%s", tail(out))
	}
	broken := `{"apiVersion":"networking.istio.io/v1beta1","kind":"VirtualService","metadata":{"name":"broken","namespace":"production"},
"spec":{"hosts":["nowhere"],"http":[{"route":[{"destination":{"host":"nowhere"}}]}]}}`
	if err := p.apply(ctx, broken); err != nil {
		return err
	}
	out, _ = p.sh(ctx, s.Text)
	if _, err := p.Kubectl(ctx, "-n", "production", "delete", "virtualservice", "broken"); err != nil {
		return err
	}
	if !strings.Contains(out, "nowhere") {
		return fmt.Errorf("a route to a host that does not exist is not found%s", tail(out))
	}
	return nil
}

// proxyStatus: every pod is listed, and in step with the control plane.
func proxyStatus(ctx context.Context, p *Pass, s Step) error {
	pods, err := traffic.Pods(ctx, p.Cluster, "production", "app")
	if err != nil {
		return err
	}
	return within(ctx, 20*time.Second, func() error {
		out, err := p.sh(ctx, s.Text)
		if err != nil {
			return err
		}
		for _, pod := range pods {
			ok := false
			for _, line := range strings.Split(out, "\n") {
				ok = ok || strings.HasPrefix(line, pod.Metadata.Name+".production") && strings.Contains(line, "SYNCED") && !strings.Contains(line, "STALE")
			}
			if !ok {
				return fmt.Errorf("%s is not shown as synchronised%s", pod.Metadata.Name, tail(out))
			}
		}
		return nil
	})
}

// proxyConfig: listeners, routes and clusters of the pod are shown.
func proxyConfig(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	for _, want := range []string{"SERVICE FQDN", "DIRECTION", "ROUTE", "DOMAINS", "ADDRESS", "inbound"} {
		if !strings.Contains(strings.ToUpper(out), strings.ToUpper(want)) {
			return fmt.Errorf("no %q in it%s", want, tail(out))
		}
	}
	return nil
}

// tlsCheck: the service is shown, and that the two sides agree.
func tlsCheck(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(out, "\n") {
		if strings.HasPrefix(line, "api.production.svc.cluster.local") && strings.Contains(line, "OK") && strings.Contains(line, "mTLS") {
			return nil
		}
	}
	return fmt.Errorf("no line says that api's mutual TLS is OK%s", tail(out))
}
