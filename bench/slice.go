package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/weftmesh/weft/bench/load"
	"github.com/weftmesh/weft/bench/topology"
)

// Timing is how long things take.
type Timing struct {
	Settle, Warm, Slice time.Duration
}

// Measurer measures slices on a running world.
type Measurer struct {
	World  *topology.World
	Tools  load.Tools
	Dir    string // for the generators' files
	Timing Timing
}

// handshake is added to the warm-up for each connection: peers whose hop has as
// many connections as the client opens all of them with full handshakes first.
const handshake = 6 * time.Millisecond

// sample is the state of the counters at one moment.
type sample struct {
	at     time.Time
	cpu    time.Duration
	served uint64
	others time.Duration
}

func (m *Measurer) sample(p *topology.Pair, c Cell) (sample, error) {
	all, err := tasks()
	if err != nil {
		return sample{}, err
	}
	s := sample{others: othersTime(all, os.Getpid())}
	if s.cpu, err = p.CPU(); err != nil {
		return s, err
	}
	s.served, s.at = m.World.Counters.Of(c.Kind).Load(), time.Now()
	return s, nil
}

// Measure runs the load of the cell against the pair once.
func (m *Measurer) Measure(ctx context.Context, p *topology.Pair, c Cell) (Slice, error) {
	s := Slice{Cell: c.Name, Peer: p.Peer}
	if err := wait(ctx, m.Timing.Settle); err != nil {
		return s, err
	}
	spec := c.Load
	spec.Address, spec.Warm, spec.Duration = p.At[c.Kind], m.Timing.Warm, m.Timing.Slice
	spec.Warm += time.Duration(spec.Connections) * handshake
	cmd := m.Tools.Command(spec, m.Dir)
	g, err := begin(ctx, m.Dir, cmd.Args)
	if err != nil {
		return s, err
	}
	a, b, err := m.window(ctx, p, c, spec, g)
	if err == nil {
		s.Out, s.In, err = p.RSS()
	}
	out, ended := g.end(cmd.Interrupt || err != nil)
	if err != nil {
		return s, fmt.Errorf("%s, %s: %w", c.Name, p.Peer, err)
	}
	if ended != nil {
		return s, fmt.Errorf("%s, %s: %s: %w: %s", c.Name, p.Peer, spec.Generator, ended, out)
	}
	r, err := cmd.Parse(out)
	if err == nil {
		err = r.Check()
	}
	if err != nil {
		return s, fmt.Errorf("%s, %s: %w", c.Name, p.Peer, err)
	}
	elapsed, served := b.at.Sub(a.at), b.served-a.served
	s.P50, s.P99 = r.P50, r.P99
	s.Other = cores(a.others, b.others, elapsed)
	if c.Memory() {
		return s, nil
	}
	if served == 0 {
		return s, fmt.Errorf("%s, %s: %w while it was measured", c.Name, p.Peer, load.ErrNothing)
	}
	s.CPU = float64((b.cpu - a.cpu).Nanoseconds()) / 1e3 / float64(served)
	s.RPS = float64(served) / elapsed.Seconds()
	return s, nil
}

// window waits for the warm-up and takes both samples.
func (m *Measurer) window(ctx context.Context, p *topology.Pair, c Cell, spec load.Spec, g *generator) (a, b sample, err error) {
	for i, d := range []time.Duration{spec.Warm, spec.Duration} {
		select {
		case <-ctx.Done():
			return a, b, ctx.Err()
		case <-g.done:
			return a, b, errors.New("the generator ended too early: " + g.out.String() + g.errOut.String())
		case <-time.After(d):
		}
		to := &a
		if i == 1 {
			to = &b
		}
		if *to, err = m.sample(p, c); err != nil {
			return a, b, err
		}
	}
	return a, b, nil
}

// generator is a running load.
type generator struct {
	cmd         *exec.Cmd
	out, errOut bytes.Buffer
	done        chan struct{}
	err         error
}

func begin(ctx context.Context, dir string, args []string) (*generator, error) {
	g := &generator{done: make(chan struct{})}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	g.cmd = exec.CommandContext(ctx, args[0], args[1:]...)
	g.cmd.Dir, g.cmd.Stdout, g.cmd.Stderr = dir, &g.out, &g.errOut
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the load: %w", err)
	}
	go func() {
		g.err = g.cmd.Wait()
		close(g.done)
	}()
	return g, nil
}

// patience is how long a generator may take to end by itself.
const patience = 15 * time.Second

// end returns what the generator printed.
func (g *generator) end(interrupt bool) ([]byte, error) {
	if interrupt {
		_ = g.cmd.Process.Signal(os.Interrupt) // it may have ended already
	}
	select {
	case <-g.done:
	case <-time.After(patience):
		_ = g.cmd.Process.Kill() // as above
		<-g.done
	}
	if g.err != nil {
		return append(g.out.Bytes(), g.errOut.Bytes()...), g.err
	}
	return g.out.Bytes(), nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
