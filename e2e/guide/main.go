// Command guide runs a well-known guide to Linkerd and Istio against Weft, on
// real clusters, and says how many of its steps come true.
//
// The guide's two options are alternatives, so there are two passes, each on
// a fresh cluster with a small production namespace. A step passes when what
// the text says it shows or does was seen; that its command ended well, or
// its object was accepted, is not enough.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/weftmesh/weft/e2e/cluster"
)

// options are the switches of the command.
type options struct {
	list, write, omit bool
	family            Family
	steps             map[int]bool // nil: all
}

func main() {
	var o options
	var family, only string
	flag.BoolVar(&o.write, "write", false, "write the result to docs/guide-score.txt")
	flag.BoolVar(&o.list, "list", false, "list the steps and run nothing")
	flag.BoolVar(&o.omit, "omit", false, "apply none of the guide's objects, to see that their checks fail; the score is then not compared")
	flag.StringVar(&family, "only", "", "run one pass alone, linkerd or istio; the score is then not compared")
	flag.StringVar(&only, "steps", "", "run these steps alone, such as 18,22,25-29; the score is then not compared")
	flag.Parse()
	o.family = Family(family)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if o.steps, err = numbers(only); err == nil {
		err = run(ctx, os.Stdout, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "guide:", err)
		os.Exit(1)
	}
}

// numbers reads a list of numbers and ranges; an empty one is nil.
func numbers(list string) (map[int]bool, error) {
	if list == "" {
		return nil, nil
	}
	out := map[int]bool{}
	for _, part := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || a > b {
			return nil, fmt.Errorf("-steps: %q is neither a number nor a range", part)
		}
		for ; a <= b; a++ {
			out[a] = true
		}
	}
	return out, nil
}

func run(ctx context.Context, out io.Writer, o options) error {
	steps, err := Extract(guide)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range steps {
			fmt.Fprintf(out, "%d. [%s] %s\n", s.N, s.Family, s.Title())
			printReplaced(out, s)
		}
		return nil
	}
	l, err := cluster.DefaultLayout()
	if err != nil {
		return err
	}
	results := map[int]Result{}
	for _, f := range []Family{Linkerd, Istio} {
		if o.family != "" && o.family != f {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Family != f })
		fmt.Fprintf(os.Stderr, "guide: the %s pass, %d steps\n", f, len(mine))
		if err := pass(ctx, l, f, mine, o, results); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	score(&text, steps, results)
	out.Write(text.Bytes()) //nolint:errcheck // standard output
	if o.family != "" || o.steps != nil || o.omit {
		return nil
	}
	file := filepath.Join(l.Source, "docs", "guide-score.txt")
	was, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := compare(string(was), text.String()); err != nil {
		return err
	}
	if o.write {
		return os.WriteFile(file, text.Bytes(), 0o644)
	}
	return nil
}
