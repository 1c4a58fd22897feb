package dataplane

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var (
	binaries = flag.String("dataplane.bin", "", "folder with weft-proxy and weft-control; built from the tree when empty")
	full     = flag.Bool("dataplane.full", false, "the whole sizes: 10 GiB, every byte of every fault, 10,000 connections also where the machine is small")
	soakFor  = flag.Duration("dataplane.soak", 0, "how long TestSoak runs; 0 skips it")
	inNetem  = flag.Bool("dataplane.netem", false, "run TestUnderNetem (for the test's own use)")
	interop  = flag.String("dataplane.interop", "", "run one gRPC interop case as a client of this address, case@host:port, and exit (for the test's own use)")
)

// patience bounds every wait for something that must come.
const patience = 20 * time.Second

var world *mesh

func TestMain(m *testing.M) {
	flag.Parse()
	if *interop != "" {
		os.Exit(interopClient(*interop))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weft-dataplane-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin := *binaries
	if bin == "" {
		bin = filepath.Join(dir, "bin")
		if err := build(bin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if world, err = start(dir, bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer world.stop()
	return m.Run()
}

// build makes the programs; the proxy like the test itself.
func build(to string) error {
	const module = "github.com/weftmesh/weft/cmd/"
	for name, args := range map[string][]string{"weft-proxy": raceArgs(), "weft-control": nil} {
		args = append(append([]string{"build", "-buildvcs=false"}, args...), "-o", filepath.Join(to, name), module+name)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
		cancel()
		if err != nil {
			return fmt.Errorf("go %v: %w\n%s", args, err, out)
		}
	}
	return nil
}

func raceArgs() []string {
	if raced {
		return []string{"-race"}
	}
	return nil
}
