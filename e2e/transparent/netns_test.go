package transparent

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait of the tests.
const patience = 20 * time.Second

// space is a network namespace. What runs inside runs on a thread of its own,
// which lives as long as the namespace: children die with it.
type space struct {
	t    testing.TB
	name string
	jobs chan func()
	file *os.File
}

func newSpace(t testing.TB, name string) *space {
	t.Helper()
	s := &space{t: t, name: name, jobs: make(chan func())}
	made := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlock: the thread is spoilt
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			s.file, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
		if err != nil {
			return
		}
		for f := range s.jobs {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Skip("no network namespace can be made here:", err)
	}
	t.Cleanup(func() {
		close(s.jobs)
		<-ended
		s.file.Close()
	})
	s.ip("link set lo up")
	return s
}

// do runs f inside.
func (s *space) do(f func() error) error {
	done := make(chan error, 1)
	s.jobs <- func() { done <- f() }
	return <-done
}

func (s *space) ip(args string) {
	s.t.Helper()
	if err := s.do(func() error {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: ip %s: %w: %s", s.name, args, err, out)
		}
		return nil
	}); err != nil {
		s.t.Fatal(err)
	}
}

// join puts a cable between a workload's namespace and the bridge.
func (s *space) join(bridge *space, address string) {
	s.t.Helper()
	bridge.ip(fmt.Sprintf("link add v-%s type veth peer name eth0 netns /proc/%d/fd/%d", s.name, os.Getpid(), s.file.Fd()))
	bridge.ip("link set v-" + s.name + " master br0 up")
	s.ip("addr add " + address + "/24 dev eth0")
	s.ip("link set eth0 up")
	s.ip("route add default via " + gateway)
}

func (s *space) listen(address string) net.Listener {
	s.t.Helper()
	var ln net.Listener
	if err := s.do(func() (err error) { ln, err = net.Listen("tcp", address); return err }); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { ln.Close() })
	return ln
}

// dial connects from inside, within limit.
func (s *space) dial(to string, limit time.Duration) (c net.Conn, err error) {
	err = s.do(func() error { c, err = net.DialTimeout("tcp", to, limit); return err })
	return c, err
}

// dialContext is for http.Transport.
func (s *space) dialContext(_ context.Context, _, to string) (net.Conn, error) {
	return s.dial(to, 5*time.Second)
}

// process is a child inside a namespace.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	log  *lines
}

// lines keeps what a child says, to be shown when a test fails.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() < 1<<20 {
		l.b.Write(p)
	}
	return len(p), nil
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a program inside as a user. It is killed at the end of the test.
func (s *space) start(name string, uid uint32, env []string, program string, args ...string) *process {
	s.t.Helper()
	p := &process{t: s.t, name: name, done: make(chan struct{}), log: &lines{}}
	p.cmd = exec.Command(program, args...)
	p.cmd.Env, p.cmd.Dir = env, "/"
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.WaitDelay = time.Second
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	if err := s.do(p.cmd.Start); err != nil {
		s.t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("--- %s\n%s", name, p.log)
		}
	})
	return p
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// programs builds the real ones, once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weft-transparent-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	if err := os.Chmod(dir, 0o755); err != nil { // for the proxy's user
		return "", err
	}
	const module = "github.com/weftmesh/weft/cmd/"
	out, err := exec.Command("go", "build", "-o", dir, module+"weft-proxy", module+"weft-control", module+"weft-init").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

// buildDir is where they are, once built.
var buildDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

func binary(t testing.TB, name string) string {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

// freeze stops a process until SIGCONT. The signal reaches its threads one after
// the other; meanwhile they may answer what is asked.
func (p *process) freeze() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, p.name+" stands still", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("its threads are unknown: %w", err)
		}
		for _, f := range threads {
			b, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			if _, state, _ := strings.Cut(string(b), ") "); !strings.HasPrefix(state, "T") {
				return fmt.Errorf("%s: %s", f, b)
			}
		}
		return nil
	})
}

// eventually waits until f has nothing to complain about.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	t.Fatalf("%s: %v", what, err)
}
