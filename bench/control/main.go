package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// translationsMetric counts how often the pipeline has translated.
const translationsMetric = "weft_control_translations_total"

type options struct {
	program  string
	out      string
	services []int
	proxies  []int
	repeats  int
	idle     time.Duration
	pods     bool
	more     string
	starts   bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-control:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	var services, proxies string
	flag.StringVar(&o.program, "control", "dist/bin/weft-control", "program to measure")
	flag.StringVar(&o.out, "out", "bench/out/control.json", "file for the figures; empty for none")
	flag.StringVar(&services, "services", "2000,10000", "sizes of the mesh; every second service has a VirtualService and a DestinationRule")
	flag.StringVar(&proxies, "proxies", "1,50,500", "numbers of sidecars; meshes after the first are measured with 50 alone")
	flag.IntVar(&o.repeats, "repeats", 7, "how often each change is made, and weft-control is started")
	flag.DurationVar(&o.idle, "idle", 20*time.Second, "how long to wait before memory at rest is read")
	flag.BoolVar(&o.pods, "pods", false, "give every endpoint a pod with a sidecar")
	flag.StringVar(&o.more, "flags", "", "more flags for weft-control, with spaces between")
	flag.BoolVar(&o.starts, "only-start", false, "measure the start alone")
	flag.Parse()
	var err error
	if o.services, err = numbers(services); err != nil {
		return err
	}
	if o.proxies, err = numbers(proxies); err != nil {
		return err
	}
	var results []result
	var failed error
	for i, n := range o.services {
		of := o
		if i > 0 {
			of.proxies = slices.DeleteFunc(slices.Clone(o.proxies), func(n int) bool { return n != comparedProxies })
		}
		r, err := measure(ctx, of, meshSize{n, o.pods})
		if err != nil {
			// What was measured before is worth seeing all the same.
			failed = fmt.Errorf("%d services: %w", n, err)
			break
		}
		results = append(results, r)
	}
	print(os.Stdout, results)
	if o.out == "" || len(results) == 0 {
		return failed
	}
	b, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	return errors.Join(failed, os.WriteFile(o.out, append(b, '\n'), 0o644))
}

func numbers(s string) ([]int, error) {
	var out []int
	for _, f := range strings.Split(s, ",") {
		n, err := strconv.Atoi(f)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no number of things", f)
		}
		out = append(out, n)
	}
	return out, nil
}
