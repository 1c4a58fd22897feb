package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// ErrUsage is under every error that better arguments would avoid.
var ErrUsage = errors.New("usage")

// Wrap is what `weft run` is asked for.
type Wrap struct {
	Folder    string
	Namespace string
	Service   string
	Port      int    // where the process listens
	Protocol  string // appProtocol of the service; empty lets the proxies find out
	Upstreams []string
	Args      []string
	Bin       Binaries
	In        io.Reader
	Out, Err  io.Writer
	Log       *slog.Logger
}

// Run wraps a process and returns its exit code.
func (r Wrap) Run(ctx context.Context) (int, error) {
	if r.Service == "" || r.Port <= 0 || r.Port > 65535 || len(r.Args) == 0 {
		return 0, fmt.Errorf("%w: --service, --port and a command after -- are needed", ErrUsage)
	}
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var ended sync.WaitGroup
	defer ended.Wait()
	defer end()
	m, err := join(life, &ended, r.Folder, r.Bin, r.Log)
	if err != nil {
		return 0, err
	}
	svc, err := documents("", serviceObject(r.Namespace, r.Service, r.Port, r.Protocol))
	if err != nil {
		return 0, err
	}
	if err := m.folder.writeNew("services/"+serviceFile(r.Namespace, r.Service), svc); err != nil {
		return 0, err
	}
	w := &workload{namespace: r.Namespace, service: r.Service, pod: r.Service + "-" + strconv.Itoa(os.Getpid()), port: r.Port,
		services: []string{r.Service}, labels: map[string]string{"app": r.Service}, args: r.Args, stdio: &stdio{r.In, r.Out, r.Err}}
	if w.upstreams, err = m.upstreams(r.Namespace, r.Upstreams); err != nil {
		return 0, err
	}
	if err := w.allocate(m.ports); err != nil {
		return 0, err
	}
	p, err := m.up(ctx, w)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(r.Err, "weft: %s is in the mesh: %s, also at http://%s from outside; mesh folder %s\n", w.pod, host(r.Namespace, r.Service, r.Port), loopback(w.inbound), m.folder.Root)
	for _, u := range w.upstreams {
		fmt.Fprintf(r.Err, "weft: upstream %s at %s\n", u.Host, u.Listen)
	}
	err = m.wait(ctx, w, p)
	m.down(w, p)
	if errors.Is(err, errEnded) || ctx.Err() != nil {
		return p.app.exitCode(), nil
	}
	return 0, err
}

func serviceFile(namespace, name string) string {
	if namespace == demoNamespace {
		return name + ".yaml"
	}
	return namespace + "." + name + ".yaml"
}

// upstreams reads SVC[.NAMESPACE][:PORT]=127.0.0.1:PORT. A port that is not
// given is that of the service, which must be in the folder then.
func (m *mesh) upstreams(namespace string, args []string) ([]Upstream, error) {
	var out []Upstream
	for _, a := range args {
		name, listen, ok := strings.Cut(a, "=")
		at, err := netip.ParseAddrPort(listen)
		if !ok || err != nil || !at.Addr().IsLoopback() {
			return nil, fmt.Errorf("%w: --upstream %s: want SERVICE[.NAMESPACE][:PORT]=127.0.0.1:PORT", ErrUsage, a)
		}
		svc, portText, hasPort := strings.Cut(name, ":")
		svc, ns, hasNS := strings.Cut(svc, ".")
		if !hasNS {
			ns = namespace
		}
		port, err := strconv.Atoi(portText)
		if hasPort && (err != nil || port <= 0 || port > 65535) {
			return nil, fmt.Errorf("%w: --upstream %s: %q is not a port", ErrUsage, a, portText)
		}
		if !hasPort {
			if port, err = m.servicePort(ns, svc); err != nil {
				return nil, fmt.Errorf("%w: --upstream %s: %w", ErrUsage, a, err)
			}
		}
		if l, err := net.Listen("tcp", at.String()); err != nil {
			return nil, fmt.Errorf("--upstream %s: %w", a, err)
		} else {
			l.Close()
		}
		out = append(out, Upstream{Host: host(ns, svc, port), Listen: at})
	}
	return out, nil
}

// servicePort finds the one port of a service in the folder.
func (m *mesh) servicePort(namespace, name string) (int, error) {
	files, err := filepath.Glob(filepath.Join(m.folder.Config(), "services", "*.yaml"))
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, doc := range strings.Split(string(b), "\n---\n") {
			var s corev1.Service
			if yaml.Unmarshal([]byte(doc), &s) == nil && s.Kind == "Service" && s.Namespace == namespace && s.Name == name && len(s.Spec.Ports) == 1 {
				return int(s.Spec.Ports[0].Port), nil
			}
		}
	}
	return 0, fmt.Errorf("no service %s of one port in %s; start it first, or write its port, as in %s:80=127.0.0.1:5000", name, filepath.Join(m.folder.Config(), "services"), name)
}
