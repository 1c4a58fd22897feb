package local

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/freeport"
)

// programs builds what a local mesh starts, once for all tests.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-local-test-")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", dir, "./cmd/weft", "./cmd/weft-control", "./cmd/weft-proxy")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// demo is a running `weft demo`.
type demo struct {
	t     *testing.T
	mesh  string
	front string
	cmd   *exec.Cmd
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	d := &demo{t: t, mesh: filepath.Join(t.TempDir(), "mesh"), log: &lockedBuffer{}}
	front := mustNext(t, &freeport.Ports{})
	d.front = "http://" + loopback(front)
	d.cmd = exec.Command(filepath.Join(bin, "weft"), "demo", "--mesh", d.mesh, "--front-port", fmt.Sprint(front))
	d.cmd.Stderr = d.log
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.cmd.Process.Kill(); _ = d.cmd.Wait() })
	open := make(chan struct{})
	go func() {
		var once sync.Once
		for s := bufio.NewScanner(out); s.Scan(); {
			fmt.Fprintln(d.log, s.Text())
			if strings.Contains(s.Text(), "Ctrl-C ends everything") {
				once.Do(func() { close(open) })
			}
		}
	}()
	select {
	case <-open:
	case <-time.After(60 * time.Second):
		t.Fatalf("the shop did not open:\n%s", d.log)
	}
	return d
}

func mustNext(t *testing.T, p *freeport.Ports) int {
	t.Helper()
	n, err := p.Next()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// answers counts what requests to the front got.
type answers struct {
	mu       sync.Mutex
	versions map[string]int
	failures []string
}

func (a *answers) total() int { return a.versions["stable"] + a.versions["canary"] + len(a.failures) }

func (a *answers) canary() float64 { return float64(a.versions["canary"]) / float64(a.total()) }

func (d *demo) ask(client *http.Client, a *answers) {
	resp, err := client.Get(d.front + "/")
	failure, version := "", ""
	if err != nil {
		failure = err.Error()
	} else {
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		version = resp.Header.Get("X-Api-Version")
		if err != nil || resp.StatusCode != 200 || version == "" {
			failure = fmt.Sprintf("%d %q %v", resp.StatusCode, body, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if failure != "" {
		a.failures = append(a.failures, failure)
	} else {
		a.versions[version]++
	}
}

// send makes n requests, eight at a time.
func (d *demo) send(n int) *answers {
	a := &answers{versions: map[string]int{}}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	defer client.CloseIdleConnections()
	var left atomic.Int64
	left.Store(int64(n))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				d.ask(client, a)
			}
		})
	}
	wg.Wait()
	return a
}

// during sends 200 requests/s while f runs.
func (d *demo) during(f func()) *answers {
	a := &answers{versions: map[string]int{}}
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			wg.Wait()
			return a
		case <-tick.C:
			wg.Go(func() { d.ask(client, a) })
		}
	}
}

func (d *demo) splitFile() string { return filepath.Join(d.mesh, "folder", "policy", "split.yaml") }

func (d *demo) setSplit(stable, canary int) {
	d.t.Helper()
	text := strings.NewReplacer("weight: 90", fmt.Sprintf("weight: %d", stable), "weight: 10", fmt.Sprintf("weight: %d", canary)).Replace(splitYAML)
	// In place, as many editors do: the control plane may see half of it.
	if err := os.WriteFile(d.splitFile(), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *demo) read(file string, to any) {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(d.mesh, "state", file))
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *demo) pid(workload string) int {
	var all map[string]struct{ Process int }
	d.read("processes.json", &all)
	return all[workload].Process
}

func eventually(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// TestDemo is the promise of the README's first command, on the real programs.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eleven processes")
	}
	d := startDemo(t)
	noFailures := func(t *testing.T, a *answers) {
		t.Helper()
		if len(a.failures) > 0 {
			t.Errorf("%d of %d requests failed, the first: %s\n%s", len(a.failures), a.total(), a.failures[0], d.log)
		}
	}
	// Bounds of shares are more than six standard deviations wide.
	t.Run("split 90/10", func(t *testing.T) {
		a := d.send(4000)
		noFailures(t, a)
		if c := a.canary(); c < 0.07 || c > 0.13 {
			t.Errorf("the canary got %.3f of the requests, want 0.1", c)
		}
	})
	t.Run("edited split moves traffic within a second", func(t *testing.T) {
		d.setSplit(50, 50)
		time.Sleep(time.Second) // the promise itself
		a := d.send(3000)
		noFailures(t, a)
		if c := a.canary(); c < 0.44 || c > 0.56 {
			t.Errorf("the canary got %.3f of the requests, want 0.5", c)
		}
	})
	t.Run("half-written file keeps the last good state", func(t *testing.T) {
		if err := os.WriteFile(d.splitFile(), []byte("apiVersion: split.smi-spec.io/v1alpha2\nkind: TrafficSplit\nmetadata: {name: api-canary, namespace: shop\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the fault is reported with file and line", 10*time.Second, func() bool {
			log, err := os.ReadFile(filepath.Join(d.mesh, "state", "log", "control.log"))
			return err == nil && bytes.Contains(log, []byte("split.yaml:3"))
		})
		a := d.send(1000)
		noFailures(t, a)
		if c := a.canary(); c < 0.4 || c > 0.6 {
			t.Errorf("the canary got %.3f of the requests, want 0.5 still", c)
		}
		d.setSplit(50, 50)
	})
	t.Run("killed replica loses nothing", func(t *testing.T) {
		a := d.during(func() {
			before := d.pid("api-stable-1")
			if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			eventually(t, "the replica is back", 60*time.Second, func() bool { p := d.pid("api-stable-1"); return p != 0 && p != before })
		})
		noFailures(t, a)
		if a.total() < 100 {
			t.Errorf("only %d requests were sent", a.total())
		}
	})
	t.Run("killed control plane is not missed and returns", func(t *testing.T) {
		var first addresses
		d.read("control.json", &first)
		a := d.during(func() {
			if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
			eventually(t, "the control plane is back", 60*time.Second, func() bool {
				var now addresses
				d.read("control.json", &now)
				return now.PID != first.PID && ready(context.Background(), now.Admin)
			})
		})
		noFailures(t, a)
		d.setSplit(0, 100)
		eventually(t, "changes flow again", 30*time.Second, func() bool { a := d.send(50); return a.versions["canary"] == 50 })
	})
	t.Run("interrupt ends everything", func(t *testing.T) {
		if err := d.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := d.cmd.Wait(); err != nil {
			t.Errorf("weft demo ended with %v\n%s", err, d.log)
		}
		if left := processesOf(t, d.mesh); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// processesOf finds processes whose command line or environment names a folder.
func processesOf(t *testing.T, folder string) []string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, d := range dirs {
		if d == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		for _, f := range []string{"cmdline", "environ"} {
			if b, err := os.ReadFile(filepath.Join(d, f)); err == nil && bytes.Contains(b, []byte(folder)) {
				cmd, _ := os.ReadFile(filepath.Join(d, "cmdline"))
				out = append(out, strings.ReplaceAll(string(cmd), "\x00", " "))
				break
			}
		}
	}
	return out
}

// TestScriptedDemo checks the one JSON object of the scripted form.
func TestScriptedDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts eleven processes")
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(bin, "weft"), "demo", "--for", "8s", "--rate", "50", "--front-port", fmt.Sprint(mustNext(t, &freeport.Ports{})), "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var r Report
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	seen := map[string]ServiceStats{}
	for _, s := range r.Services {
		seen[s.Name] = s
	}
	for _, name := range []string{"web", "api-stable", "api-canary", "db"} {
		s := seen[name]
		if s.Requests == 0 || s.Success != 1 || s.RPS <= 0 || s.P50 <= 0 || s.P99 < s.P50 {
			t.Errorf("%s: %+v", name, s)
		}
		if want := map[bool]float64{true: 0, false: 1}[name == "web"]; s.MTLS != want {
			t.Errorf("%s: share of mTLS is %v, want %v", name, s.MTLS, want)
		}
	}
	if len(r.Splits) != 2 || r.Splits[0].Weight != 90 || r.Splits[0].Requests <= r.Splits[1].Requests || r.Splits[1].Requests == 0 {
		t.Errorf("splits: %+v", r.Splits)
	}
	if r.Front == "" {
		t.Error("no front address")
	}
}

// TestRunWraps is `weft run`: two processes that reach each other by name, and
// an exit code that is passed on.
func TestRunWraps(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several processes")
	}
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	weft, mesh := filepath.Join(bin, "weft"), filepath.Join(t.TempDir(), "mesh")
	var p freeport.Ports
	dbPort, upstream, apiPort := mustNext(t, &p), mustNext(t, &p), mustNext(t, &p)
	start := func(args ...string) (*exec.Cmd, *lockedBuffer) {
		log := &lockedBuffer{}
		cmd := exec.Command(weft, args...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Signal(os.Interrupt); _ = cmd.Wait() })
		return cmd, log
	}
	_, dbLog := start("run", "--mesh", mesh, "--service", "db", "--port", fmt.Sprint(dbPort), "--protocol", "tcp", "--",
		weft, "demo", "app", "--role", "db", "--name", "db", "--listen", loopback(dbPort))
	eventually(t, "db is in the mesh", 60*time.Second, func() bool { return strings.Contains(dbLog.String(), "is in the mesh") })
	_, apiLog := start("run", "--mesh", mesh, "--service", "api", "--port", fmt.Sprint(apiPort), "--upstream", "db="+loopback(upstream), "--",
		weft, "demo", "app", "--role", "api", "--name", "api", "--version", "v1", "--listen", loopback(apiPort), "--upstream", loopback(upstream))
	eventually(t, "api is in the mesh", 60*time.Second, func() bool { return strings.Contains(apiLog.String(), "is in the mesh") })
	// Nobody has dialled the upstream yet. That it is known is part of being
	// ready, so it works without a control plane too.
	var now addresses
	(&demo{t: t, mesh: mesh}).read("control.json", &now)
	if err := syscall.Kill(now.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if line, err := askLine(loopback(upstream)); err != nil || !strings.HasPrefix(line, "db (visit") {
		t.Errorf("the upstream's first use without a control plane: %q, %v\n%s", line, err, apiLog)
	}
	_, front, _ := strings.Cut(apiLog.String(), "also at ")
	front, _, _ = strings.Cut(front, " ")
	var last string
	eventually(t, "api answers through the mesh", 30*time.Second, func() bool {
		b, err := page(context.Background(), front+"/")
		last = string(b)
		return err == nil && strings.Contains(last, "api (v1) -> db (visit")
	})
	cmd := exec.Command(weft, "run", "--mesh", mesh, "--service", "short", "--port", fmt.Sprint(mustNext(t, &p)), "--", "sh", "-c", "exit 7")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 0 {
		t.Errorf("a process that ends at once: %v %s", err, out)
	}
}

// askLine sends one line and reads one.
func askLine(addr string) (string, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(c, "visit"); err != nil {
		return "", err
	}
	return bufio.NewReader(c).ReadString('\n')
}
