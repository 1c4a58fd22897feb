package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/weftmesh/weft/e2e/traffic"
)

// clientVersion: the tool is installed and says its version, which is that of
// this build.
func clientVersion(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	own, err := p.Exec(ctx, nil, filepath.Join(p.Source, "dist", "bin", "weft"), "version", "--client", "--short")
	if err != nil {
		return err
	}
	v := strings.TrimSpace(own)
	if v == "" || !strings.Contains(out, v) || !strings.Contains(strings.ToLower(out), "client") {
		return fmt.Errorf("no line with the client's version %q%s", v, tail(out))
	}
	return nil
}

// healthy: the checks are run one by one and all are well.
func healthy(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	if n := strings.Count(out, "\n√ "); n < 3 || strings.Contains(out, "\n× ") || !strings.Contains(out, "Status check results are √") {
		return fmt.Errorf("%d checks are well%s", n, tail(out))
	}
	return nil
}

// platformReady: every Deployment outside of the guide's own namespaces is
// available, and there is one more than the cluster itself has.
func (p *Pass) platformReady(ctx context.Context) error {
	return within(ctx, time.Minute, func() error {
		out, err := p.Kubectl(ctx, "get", "deployments", "-A", "-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {.spec.replicas} {.status.availableReplicas}{"\n"}{end}`)
		if err != nil {
			return err
		}
		n := 0
		for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
			f := strings.Fields(line)
			if len(f) == 0 || strings.HasPrefix(f[0], "production/") || strings.HasPrefix(f[0], "kube-system/") {
				continue
			}
			if len(f) < 3 || f[1] != f[2] {
				return fmt.Errorf("deployment %s is not available", line)
			}
			n++
		}
		if n == 0 {
			return errors.New("no control plane was deployed")
		}
		return nil
	})
}

// injects: a pod that is made in a namespace gets a sidecar of this name. It
// is asked of the API server without making one.
func (p *Pass) injects(ctx context.Context, namespace, annotation, container string) error {
	pod := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"trial","namespace":%q,"annotations":{%s}},"spec":{"containers":[{"name":"c","image":"localhost/app:e2e"}]}}`, namespace, annotation)
	return within(ctx, 20*time.Second, func() error {
		out, err := p.KubectlIn(ctx, strings.NewReader(pod), "create", "--dry-run=server", "-o", "json", "-f", "-")
		if err != nil {
			return err
		}
		var got traffic.Pod
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			return err
		}
		if _, ok := got.Container(container); !ok {
			return fmt.Errorf("a new pod in namespace %s gets no %s", namespace, container)
		}
		return nil
	})
}

// meshed: all pods of production run with a sidecar of this name, and the
// frontend's requests are answered through it.
func (p *Pass) meshed(ctx context.Context, container string) error {
	if err := p.rolledOut(ctx); err != nil {
		return err
	}
	if err := within(ctx, 40*time.Second, func() error {
		pods, err := traffic.Pods(ctx, p.Cluster, "production", "app")
		if err != nil {
			return err
		}
		if len(pods) == 0 {
			return errors.New("production has no pods")
		}
		for _, pod := range pods {
			if st, ok := pod.ContainerStatus(container); !ok || !st.Ready {
				return fmt.Errorf("pod %s has no ready %s", pod.Metadata.Name, container)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	r, err := p.load(ctx, "-rate", "50", "-n", "50")
	if err != nil {
		return err
	}
	return r.Problem()
}

// url finds the address that a dashboard command prints.
var url = regexp.MustCompile(`http://(?:localhost|127\.0\.0\.1):(\d+)(/[^\s"']*)?`)

// open waits for a command to print an address and reads the page there.
func (p *Pass) open(ctx context.Context, command string, shows func(get func(path string) (string, error)) error) error {
	client := http.Client{Transport: &http.Transport{DialContext: p.Dial, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	return p.watch(ctx, command, 30*time.Second, func(out string) error {
		m := url.FindStringSubmatch(out)
		if m == nil {
			return errors.New("no address of a dashboard was printed")
		}
		return shows(func(path string) (string, error) {
			if path == "" {
				path = m[2]
			}
			resp, err := client.Get("http://127.0.0.1:" + m[1] + path)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
			if err != nil {
				return "", err
			}
			if resp.StatusCode != http.StatusOK {
				return "", fmt.Errorf("%s answers %s", path, resp.Status)
			}
			return string(b), nil
		})
	})
}

// shows: a page opens, and what it is drawn from says all of these.
func (p *Pass) shows(ctx context.Context, command, data, missing string, wanted ...string) error {
	return p.open(ctx, command, func(get func(string) (string, error)) error {
		page, err := get("")
		if err != nil {
			return err
		}
		if !strings.Contains(strings.ToLower(page), "<html") {
			return errors.New("the dashboard's address has no page")
		}
		said, err := get(data)
		if err != nil {
			return err
		}
		for _, w := range wanted {
			if !strings.Contains(said, w) {
				return errors.New(missing)
			}
		}
		return nil
	})
}

// dashboard: it knows the services that have traffic.
func dashboard(ctx context.Context, p *Pass, s Step) error {
	return p.shows(ctx, s.Text, "/api/graph?namespace=production", "the dashboard does not know production's traffic", "frontend", "api")
}

// traces: there are traces of a request that crosses both workloads.
func traces(ctx context.Context, p *Pass, s Step) error {
	return p.shows(ctx, s.Text, "/api/traces?service=api.production&limit=20", "there is no trace from frontend to api", "spanID", "frontend")
}

// proxyLogs: the sidecar's log can be read and says something.
func proxyLogs(ctx context.Context, p *Pass, s Step) error {
	out, err := p.sh(ctx, s.Text)
	if err != nil {
		return err
	}
	for _, line := range strings.Split(out, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Found ") {
			return nil
		}
	}
	return errors.New("the sidecar's log is empty")
}

// table reads a table that is aligned with blanks: rows by the first column,
// each by the names of the header.
func table(out string) map[string]map[string]string {
	rows := map[string]map[string]string{}
	var head []string
	for _, line := range strings.Split(out, "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case head == nil && strings.ToUpper(f[0]) == f[0] && len(f) > 1:
			head = f
		case head != nil:
			row := map[string]string{}
			for i, v := range f {
				if i < len(head) {
					row[head[i]] = v
				}
			}
			rows[f[0]] = row
		}
	}
	return rows
}
