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
	"syscall"

	"github.com/weftmesh/weft/e2e/cluster"
)

func main() {
	write := flag.Bool("write", false, "write the result to docs/guide-score.txt")
	family := flag.String("only", "", "run one pass alone: linkerd or istio (the score is then not compared)")
	list := flag.Bool("list", false, "list the steps and run nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *list, *write, Family(*family)); err != nil {
		fmt.Fprintln(os.Stderr, "guide:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, list, write bool, only Family) error {
	steps, err := Extract(guide)
	if err != nil {
		return err
	}
	if list {
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
		if only != "" && only != f {
			continue
		}
		mine := slices.DeleteFunc(slices.Clone(steps), func(s Step) bool { return s.Family != f })
		fmt.Fprintf(os.Stderr, "guide: the %s pass, %d steps\n", f, len(mine))
		if err := pass(ctx, l, f, mine, results); err != nil {
			return err
		}
	}
	var text bytes.Buffer
	score(&text, steps, results)
	out.Write(text.Bytes()) //nolint:errcheck // standard output
	if only != "" {
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
	if write {
		return os.WriteFile(file, text.Bytes(), 0o644)
	}
	return nil
}
