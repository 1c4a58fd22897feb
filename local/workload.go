package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/internal/freeport"
)

// Upstream is a destination that a workload dials at an explicit listener.
type Upstream struct {
	Host   string         // fully qualified service name and port
	Listen netip.AddrPort // loopback address that the workload dials
}

// workload is a process with a proxy beside it.
type workload struct {
	namespace string
	service   string // the service account, and the app label
	pod       string
	labels    map[string]string
	services  []string // those whose endpoint it is
	port      int      // the process' own
	upstreams []Upstream
	args      []string
	env       []string
	stdio     *stdio // nil sends the output to the log
	inbound   int
	admin     int
}

type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// grace is how long a process may take to end when it is asked to.
const grace = 5 * time.Second

// errEnded means that a workload's process ended by itself.
var errEnded = errors.New("the process ended")

func (w *workload) file() string { return "workloads/" + w.pod + ".yaml" }

// allocate gives the workload's proxy its ports. They stay over restarts.
func (w *workload) allocate(p *freeport.Ports) error {
	for _, to := range []*int{&w.inbound, &w.admin} {
		n, err := p.Next()
		if err != nil {
			return err
		}
		*to = n
	}
	return nil
}

// register tells the control plane who the workload is, which its proxy's
// configuration follows, and, once it is reachable, which services it is.
func (w *workload) register(f Folder, reachable bool) error {
	objects := []any{podObject(w.namespace, w.pod, w.service, w.labels, w.inbound)}
	if reachable {
		for _, s := range w.services {
			objects = append(objects, sliceObject(w.namespace, s, w.pod, w.inbound))
		}
	}
	y, err := documents("Written while "+w.pod+" runs; removed when it ends.", objects...)
	if err != nil {
		return err
	}
	return f.Write(w.file(), y)
}

// proxyEnv is the contract of docs/xds.md for a proxy without redirect.
func (w *workload) proxyEnv(control string, tokenFile, anchorsFile string) []string {
	ups := make([]string, len(w.upstreams))
	for i, u := range w.upstreams {
		ups[i] = u.Host + "=" + u.Listen.String()
	}
	return []string{
		"WEFT_MODE=none",
		"WEFT_CONTROL_ADDRESS=" + control,
		"WEFT_CONTROL_NAME=localhost",
		"WEFT_TRUST_ANCHORS_FILE=" + anchorsFile,
		"WEFT_TOKEN_FILE=" + tokenFile,
		"WEFT_CLUSTER_DOMAIN=" + clusterDomain,
		"POD_NAME=" + w.pod, "POD_NAMESPACE=" + w.namespace, "POD_IP=127.0.0.1", "SERVICE_ACCOUNT=" + w.service,
		"WEFT_OWNER=deployment/" + w.service,
		"WEFT_INBOUND=" + loopback(w.inbound) + "=" + loopback(w.port),
		"WEFT_UPSTREAMS=" + strings.Join(ups, ","),
		"WEFT_ADMIN_LISTEN=" + loopback(w.admin),
		"WEFT_STATS_LISTEN=", "WEFT_HEALTH_LISTEN=",
		"WEFT_DRAIN_SECONDS=" + strconv.Itoa(int(grace.Seconds())),
	}
}

// running are the two processes of a workload.
type running struct{ app, proxy *process }

// up starts proxy and process, waits until both can serve, and registers.
func (m *mesh) up(ctx context.Context, w *workload) (*running, error) {
	token, err := m.token(w)
	if err != nil {
		return nil, err
	}
	r := &running{}
	if err := w.register(m.folder, false); err != nil {
		return nil, err
	}
	fail := func(err error) (*running, error) {
		m.down(w, r)
		return nil, err
	}
	if r.proxy, err = m.folder.start(spec{name: w.pod + "-proxy", args: []string{m.bin.Proxy}, env: w.proxyEnv(m.control.XDS, token, m.folder.anchors())}); err != nil {
		return fail(err)
	}
	if err := waitFor(ctx, 20*time.Second, r.proxy, func() bool { return ready(ctx, loopback(w.admin)) }); err != nil {
		return fail(fmt.Errorf("the proxy of %s is not ready: %w; its log is %s", w.pod, err, m.folder.LogFile(w.pod+"-proxy")))
	}
	s := spec{name: w.pod, args: w.args, env: w.env}
	if w.stdio != nil {
		s.in, s.out, s.err, s.foreground = w.stdio.in, w.stdio.out, w.stdio.err, true
	}
	if r.app, err = m.folder.start(s); err != nil {
		return fail(err)
	}
	if err := waitFor(ctx, 0, r.app, func() bool { return accepts(w.port) }); err != nil {
		return fail(fmt.Errorf("%s does not listen on 127.0.0.1:%d: %w", w.pod, w.port, err))
	}
	if err := w.register(m.folder, true); err != nil {
		return fail(err)
	}
	return r, nil
}

// wait returns when either process ends or ctx does. A lost proxy is the
// workload's end too: nobody can reach it any more.
func (m *mesh) wait(ctx context.Context, w *workload, r *running) error {
	again := time.NewTicker(tokenLife / 4)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.app.done:
			return errEnded
		case <-r.proxy.done:
			return fmt.Errorf("the proxy ended with code %d", r.proxy.exitCode())
		case <-again.C:
			if _, err := m.token(w); err != nil {
				m.log.Warn("cannot renew the workload's token", "workload", w.pod, "error", err)
			}
		}
	}
}

// down takes the workload out of the mesh, then ends it: first the process,
// whose last requests the proxy still carries, then the proxy.
func (m *mesh) down(w *workload, r *running) {
	if err := m.folder.Remove(w.file()); err != nil {
		m.log.Warn("cannot take the workload's record away", "workload", w.pod, "error", err)
	}
	if r.app != nil {
		r.app.stop(grace)
	}
	if r.proxy != nil {
		r.proxy.stop(grace + time.Second)
	}
}

// waitFor polls until ok holds. A limit of 0 waits as long as the process lives.
func waitFor(ctx context.Context, limit time.Duration, p *process, ok func() bool) error {
	var late <-chan time.Time
	if limit > 0 {
		late = time.After(limit)
	}
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.done:
			return fmt.Errorf("it ended with code %d", p.exitCode())
		case <-late:
			return fmt.Errorf("not within %s", limit)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func accepts(port int) bool {
	c, err := net.DialTimeout("tcp", loopback(port), time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}
