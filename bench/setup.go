package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weftmesh/weft/bench/load"
	"github.com/weftmesh/weft/bench/topology"
)

// Setup says what to start.
type Setup struct {
	Peers      []string // empty is the usual ones
	Programs   topology.Programs
	Previous   string // an older weft-proxy to run beside, if not empty
	Prototypes string // folder of the prototypes' sources, if not empty
	Cache      string // where Envoy is kept
	Envoy      string // a program to use instead
	Self       string // becomes application and generator
	Dir        string // for everything that is written while it runs
}

// usual are the peers of a full run; the quick one has those of the goals.
func usual(quick bool) []string {
	if quick {
		return []string{Ours, EnvoyIstio, Nginx, HAProxy}
	}
	return []string{Ours, EnvoyIstio, Envoy, Nginx, HAProxy}
}

// Resolve completes the list of peers and puts ours first.
func (s *Setup) Resolve(quick bool) error {
	if len(s.Peers) == 0 {
		s.Peers = usual(quick)
	}
	known := []string{Ours, Envoy, EnvoyIstio, EnvoyH2, Nginx, HAProxy, None}
	for _, p := range s.Peers {
		if !slices.Contains(known, p) {
			return fmt.Errorf("-peers: %q is none of %s", p, strings.Join(known, " "))
		}
	}
	s.Peers = slices.DeleteFunc(s.Peers, func(p string) bool { return p == Ours })
	s.Peers = slices.Insert(s.Peers, 0, Ours)
	if s.Previous != "" {
		s.Peers = slices.Insert(s.Peers, 1, Previous)
	}
	if s.Prototypes != "" {
		s.Peers = append(s.Peers, "e2-mux", "c-skip", "c-tcp")
	}
	return nil
}

// Start starts all peers. One whose program is missing is left out, with a
// line that says how to get it. The function that is returned ends everything,
// also after an error.
func (s Setup) Start(ctx context.Context, log io.Writer) (w *topology.World, pairs []*topology.Pair, end func(), err error) {
	end = func() {
		for _, p := range pairs {
			p.Close()
		}
		if w != nil {
			w.Close()
		}
	}
	if w, err = topology.NewWorld(ctx, s.Dir, s.Self); err != nil {
		return nil, nil, end, err
	}
	for _, name := range s.Peers {
		p, err := s.pair(ctx, w, name, log)
		if errors.Is(err, topology.ErrMissing) {
			fmt.Fprintf(log, "%s is left out: %v\n", name, err)
			continue
		}
		if err != nil {
			return w, pairs, end, fmt.Errorf("start %s: %w", name, err)
		}
		pairs = append(pairs, p)
	}
	return w, pairs, end, nil
}

func (s Setup) pair(ctx context.Context, w *topology.World, name string, log io.Writer) (*topology.Pair, error) {
	switch name {
	case Ours:
		return w.Weft(ctx, name, s.Programs)
	case Previous:
		return w.Weft(ctx, name, topology.Programs{Control: s.Programs.Control, Proxy: s.Previous})
	case Nginx:
		return w.Nginx(ctx, name)
	case HAProxy:
		return w.HAProxy(ctx, name)
	case None:
		return w.Direct(name), nil
	case Envoy, EnvoyIstio, EnvoyH2:
		bin := s.Envoy
		if bin == "" {
			var err error
			if bin, err = topology.FetchEnvoy(ctx, s.Cache, log); err != nil {
				return nil, err
			}
		}
		return w.Envoy(ctx, name, bin, topology.EnvoyForm{Istio: name == EnvoyIstio, H2: name == EnvoyH2})
	}
	return w.Prototype(ctx, name, s.Prototypes, topology.Prototypes()[name])
}

// FindTools looks for the generators and drops the cells that none can drive.
func FindTools(self string, cells []Cell, log io.Writer) (load.Tools, []Cell) {
	t := load.Tools{Self: self}
	for name, to := range map[string]*string{"wrk": &t.Wrk, "h2load": &t.H2load, "fortio": &t.Fortio} {
		*to, _ = exec.LookPath(name) // empty is missing
	}
	if t.Fortio == "" {
		t.Fortio = cachedFortio()
	}
	remedy := map[load.Generator]string{load.Wrk: "apt-get install wrk", load.H2load: "apt-get install nghttp2-client",
		load.Fortio: "make cluster-build builds it", load.Health: "make cluster-build builds it"}
	told := map[load.Generator]bool{}
	kept := slices.DeleteFunc(slices.Clone(cells), func(c Cell) bool {
		g := c.Load.Generator
		if t.Has(g) {
			return false
		}
		if !told[g] {
			told[g] = true
			fmt.Fprintf(log, "loads of %s are left out: it is not installed; %s\n", g, remedy[g])
		}
		return true
	})
	return t, kept
}

// cachedFortio is the one that the test cluster has built.
func cachedFortio() string {
	c, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	found, _ := filepath.Glob(filepath.Join(c, "weft", "cluster", "built", "fortio-*", "fortio")) // the pattern is right
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// Idle takes the memory of sidecars that have just started.
func Idle(pairs []*topology.Pair) ([]Slice, error) {
	var out []Slice
	for _, p := range pairs {
		if p.External {
			continue
		}
		o, i, err := p.RSS()
		if err != nil {
			return nil, fmt.Errorf("memory of %s: %w", p.Peer, err)
		}
		out = append(out, Slice{Cell: IdleCell, Peer: p.Peer, Out: o, In: i})
	}
	return out, nil
}

// Machine describes the machine in a line.
func Machine() string {
	model := runtime.GOARCH
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for l := range bytes.Lines(b) {
			if k, v, ok := bytes.Cut(l, []byte(":")); ok && string(bytes.TrimSpace(k)) == "model name" {
				model = string(bytes.TrimSpace(v))
				break
			}
		}
	}
	kernel := "Linux"
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel, _, _ = strings.Cut("Linux "+string(b), "-")
		kernel = strings.TrimSpace(kernel)
	}
	return fmt.Sprintf("%d × %s, %s, %s", runtime.NumCPU(), model, kernel, runtime.Version())
}

// Lock waits until no other run of this user measures, since two would only
// measure each other.
func Lock(ctx context.Context, file string, log io.Writer) (func(), error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	for told := false; ; told = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		if !told {
			fmt.Fprintln(log, "another benchmark is running; waiting for its end")
		}
		if err := wait(ctx, time.Second); err != nil {
			f.Close()
			return nil, err
		}
	}
}
