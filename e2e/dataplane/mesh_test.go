package dataplane

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/control/ca/localtoken"
	"github.com/weftmesh/weft/internal/freeport"
)

// mesh is a control plane that reads a folder. Workloads come and go.
type mesh struct {
	dir, bin string
	xds      string
	control  *process
	names    atomic.Int64
}

// process is a child that dies with us; what it says is kept.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	log  *tail
}

// tail keeps the beginning of what a child says.
type tail struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() < 1<<20 {
		l.b.Write(p)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func launch(name, program string, env []string, args ...string) (*process, error) {
	p := &process{name: name, cmd: exec.Command(program, args...), done: make(chan struct{}), log: &tail{}}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // that it was killed is no news
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

var ports freeport.Ports

// freePort panics on a machine that has not one port left.
func freePort() int {
	n, err := ports.Next()
	if err != nil {
		panic(err)
	}
	return n
}

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

func start(dir, bin string) (*mesh, error) {
	m := &mesh{dir: dir, bin: bin, xds: loopback(freePort())}
	for _, d := range []string{"objects", "state", "token"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			return nil, err
		}
	}
	return m, m.startControl()
}

func (m *mesh) startControl() (err error) {
	admin := loopback(freePort())
	m.control, err = launch("control", filepath.Join(m.bin, "weft-control"), nil, "--source", "file", "--dir", filepath.Join(m.dir, "objects"),
		"--state-dir", filepath.Join(m.dir, "state"), "--listen", m.xds, "--admin-listen", admin, "--webhook-listen", "",
		"--tracing", tracingSettings)
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); !ready(admin); time.Sleep(10 * time.Millisecond) {
		if m.control.ended() || time.Now().After(end) {
			m.control.kill()
			return fmt.Errorf("the control plane is not ready:\n%s", m.control.log)
		}
	}
	return nil
}

func (m *mesh) stop() { m.control.kill() }

// write puts a file with objects into the folder at once.
func (m *mesh) write(name, yaml string) error {
	tmp := filepath.Join(m.dir, name+".tmp")
	if err := os.WriteFile(tmp, []byte(yaml), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(m.dir, "objects", name+".yaml"))
}

func (m *mesh) remove(name string) { os.Remove(filepath.Join(m.dir, "objects", name+".yaml")) }

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

func ready(admin string) bool {
	_, code := fetch("http://" + admin + "/ready")
	return code == 200
}

func fetch(url string) (body string, code int) {
	r, err := plain.Get(url)
	if err != nil {
		return "", 0
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return "", 0
	}
	return string(b), r.StatusCode
}

// sidecar is one proxy.
type sidecar struct {
	*process
	admin string
}

// workload starts the proxy of a pod, whose objects must be in the folder.
func (m *mesh) workload(account, pod string, env ...string) (*sidecar, error) {
	key, err := localtoken.LoadOrCreateKey(filepath.Join(m.dir, "state", "token-key.pem"))
	if err != nil {
		return nil, err
	}
	token, err := localtoken.Mint(key, localtoken.Claims{Namespace: "default", ServiceAccount: account, Pod: pod}, time.Now(), 24*time.Hour)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(m.dir, "token", pod)
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return nil, err
	}
	s := &sidecar{admin: loopback(freePort())}
	s.process, err = launch(pod, filepath.Join(m.bin, "weft-proxy"), append([]string{"WEFT_MODE=none", "WEFT_CONTROL_ADDRESS=" + m.xds, "WEFT_CONTROL_NAME=localhost",
		"WEFT_TRUST_ANCHORS_FILE=" + filepath.Join(m.dir, "state", "trust-anchors.pem"), "WEFT_TOKEN_FILE=" + file,
		"POD_NAMESPACE=default", "POD_IP=127.0.0.1", "POD_NAME=" + pod, "SERVICE_ACCOUNT=" + account,
		"WEFT_STATS_LISTEN=", "WEFT_HEALTH_LISTEN=", "WEFT_ADMIN_LISTEN=" + s.admin, "GORACE=halt_on_error=0"}, env...))
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(patience); !ready(s.admin); time.Sleep(10 * time.Millisecond) {
		if s.ended() || time.Now().After(end) {
			s.kill()
			return nil, fmt.Errorf("the proxy of %s is not ready:\n%s", pod, s.log)
		}
	}
	return s, nil
}

// port is one port of a pair's service.
type port struct {
	// protocol is the appProtocol of the service's port; empty is detected.
	protocol string
	// app is where the application listens.
	app string
	// hop, when set, is given the address of the inbound sidecar, and returns the
	// address by which the outbound one knows it.
	hop func(in string) string
}

// pair is two sidecars: client → out → in → application.
type pair struct {
	name    string
	in, out *sidecar
	// to is where a client of port i connects; before is the inbound listener.
	to, before []string
}

// newPair starts two sidecars for the test.
func newPair(t testing.TB, ports ...port) *pair {
	t.Helper()
	p := &pair{name: fmt.Sprintf("w%d", world.names.Add(1))}
	var service, containers, slices, inbound, upstreams []string
	var known []string
	for i, o := range ports {
		in, out := loopback(freePort()), loopback(freePort())
		p.before, p.to = append(p.before, in), append(p.to, out)
		at := in
		if o.hop != nil {
			at = o.hop(in)
		}
		_, inPort, _ := strings.Cut(in, ":")
		_, atPort, _ := strings.Cut(at, ":")
		app := ""
		if o.protocol != "" {
			app = ", appProtocol: " + o.protocol
		}
		service = append(service, fmt.Sprintf("{name: p%d, port: %d, targetPort: %s%s}", i, 80+i, inPort, app))
		containers = append(containers, "{containerPort: "+inPort+"}")
		slices = append(slices, fmt.Sprintf("{name: p%d, port: %s%s}", i, atPort, app))
		inbound = append(inbound, in+"="+o.app)
		upstreams = append(upstreams, fmt.Sprintf("%s.default.svc.cluster.local:%d=%s", p.name, 80+i, out))
		known = append(known, at)
	}
	must(t, world.write(p.name, fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: default}
spec: {selector: {app: %[1]s}, ports: [%[2]s]}
---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s-1, namespace: default, labels: {app: %[1]s}, annotations: {weft.mesh/meshed: "true"}}
spec: {serviceAccountName: %[1]s, containers: [{name: c, ports: [%[3]s]}]}
status: {phase: Running, podIP: 127.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: %[1]s-client, namespace: default, labels: {app: %[1]s-client}, annotations: {weft.mesh/meshed: "true"}}
spec: {serviceAccountName: %[1]s-client, containers: [{name: c}]}
status: {phase: Running, podIP: 127.0.0.1}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: %[1]s-1, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [%[4]s]
endpoints: [{addresses: [127.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, namespace: default, name: %[1]s-1}}]
`, p.name, strings.Join(service, ", "), strings.Join(containers, ", "), strings.Join(slices, ", "))))
	t.Cleanup(func() { world.remove(p.name) })
	var err error
	p.in, err = world.workload(p.name, p.name+"-1", "WEFT_INBOUND="+strings.Join(inbound, ","))
	must(t, err)
	t.Cleanup(func() { p.in.over(t) })
	p.out, err = world.workload(p.name+"-client", p.name+"-client", "WEFT_UPSTREAMS="+strings.Join(upstreams, ","))
	must(t, err)
	t.Cleanup(func() { p.out.over(t) })
	eventually(t, "the outbound sidecar knows its endpoints", func() error {
		c, _ := fetch("http://" + p.out.admin + "/config")
		for _, k := range known {
			if !strings.Contains(c, k) {
				return fmt.Errorf("%s is not in its configuration", k)
			}
		}
		return nil
	})
	return p
}

// over ends a sidecar and looks at how it did.
func (s *sidecar) over(t testing.TB) {
	died := s.ended()
	s.kill()
	log := s.log.String()
	if died {
		t.Errorf("%s died:\n%s", s.name, log)
	}
	if i := strings.Index(log, "DATA RACE"); i >= 0 {
		t.Errorf("%s has a data race:\n%.6000s", s.name, log[max(0, i-200):])
	}
	if i := strings.Index(log, "internal error"); i >= 0 {
		t.Errorf("%s had an internal error:\n%.6000s", s.name, log[max(0, i-200):])
	}
	if t.Failed() && testing.Verbose() {
		t.Logf("--- %s\n%.4000s", s.name, log)
	}
}

// rss is the resident memory in bytes.
func (s *sidecar) rss() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		return 0
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// fds is the number of open descriptors.
func (s *sidecar) fds() int {
	d, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.pid()))
	if err != nil {
		return -1
	}
	return len(d)
}

// metric sums the samples of a family whose labels contain all of the texts;
// ok is false where there is none.
func (s *sidecar) metric(family string, labels ...string) (sum float64, ok bool) {
	text, _ := fetch("http://" + s.admin + "/metrics")
sample:
	for _, l := range strings.Split(text, "\n") {
		rest, is := strings.CutPrefix(l, family)
		if !is || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, want := range labels {
			if !strings.Contains(rest, want) {
				continue sample
			}
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err == nil {
			sum, ok = sum+v, true
		}
	}
	return sum, ok
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits until f has nothing to complain about.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %s: %v", patience, what, err)
}

// listen opens a listener that ends with the test and serves each connection.
func listen(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			wg.Go(func() {
				serve(c.(*net.TCPConn))
				c.Close()
				mu.Lock()
				delete(open, c)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return l.Addr().String()
}

func farFuture() time.Time { return time.Now().Add(time.Hour) }
