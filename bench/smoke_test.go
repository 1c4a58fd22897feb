package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/bench/app"
	"github.com/weftmesh/weft/bench/load"
	"github.com/weftmesh/weft/bench/topology"
)

// The test's program becomes the application and the generators.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == app.Role:
		err = app.Main(context.Background(), os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == load.Role:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = load.Main(ctx, os.Args[2:], os.Stdout)
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestOurs starts the control plane, both sidecars and the application, sends a
// little of every protocol, and ends them.
func TestOurs(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", bin, "./cmd/weft-control", "./cmd/weft-proxy")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := Setup{Peers: []string{Ours}, Programs: topology.Programs{Control: filepath.Join(bin, "weft-control"), Proxy: filepath.Join(bin, "weft-proxy")}, Self: self, Dir: t.TempDir()}
	var log bytes.Buffer
	world, pairs, end, err := s.Start(t.Context(), &log)
	defer end()
	if err != nil {
		t.Fatal(err, log.String())
	}
	idle, err := Idle(pairs)
	if err != nil || len(idle) != 1 || idle[0].Out <= 0 {
		t.Errorf("idle: %+v, %v", idle, err)
	}
	m := Measurer{World: world, Tools: load.Tools{Self: self}, Dir: s.Dir, Timing: Timing{Warm: 100 * time.Millisecond, Slice: 100 * time.Millisecond}}
	for _, c := range []Cell{http1(2, 200, false), streams("grpc-unary", app.GRPC, load.Unary, 1, 2, "request", false), streams("grpc-stream", app.GRPC, load.Stream, 1, 2, "message", false),
		plain("tcp-1KiB", "tcp", app.TCP, load.Spec{Generator: load.Exchange, Connections: 2}, "exchange", false), plain("tcp-bulk", "tcp", app.Bulk, load.Spec{Generator: load.Bulk, Connections: 1}, "MiB", false)} {
		sl, err := m.Measure(t.Context(), pairs[0], c)
		if err != nil {
			t.Fatal(err)
		}
		if sl.CPU <= 0 || sl.RPS <= 0 || sl.P50 <= 0 || sl.P99 < sl.P50 || sl.Out <= 0 || sl.In <= 0 {
			t.Errorf("%s: a figure is missing: %+v", c.Name, sl)
		}
	}
	pids := []int{pairs[0].Out.PID(), pairs[0].In.PID()}
	end()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("process %d outlives the run", pid)
		}
	}
}
