package main

import (
	"fmt"
	"io"
	"strings"
)

// Result is what came of a step: no reason means that it passed.
type Result struct {
	Ran    bool
	Reason string
}

// score prints one line a step, then the sum.
func score(w io.Writer, steps []Step, results map[int]Result) {
	passed, total := 0, 0
	for _, s := range steps {
		if s.Again {
			continue
		}
		total++
		r := results[s.N]
		switch {
		case !r.Ran:
			fmt.Fprintf(w, "FAIL %d. %s: was not run\n", s.N, s.Title())
		case r.Reason != "":
			fmt.Fprintf(w, "FAIL %d. %s: %s\n", s.N, s.Title(), r.Reason)
		default:
			passed++
			fmt.Fprintf(w, "PASS %d. %s\n", s.N, s.Title())
		}
		printReplaced(w, s)
	}
	fmt.Fprintf(w, "guide: %d of %d\n", passed, total)
}

func printReplaced(w io.Writer, s Step) {
	for _, r := range s.Replaced {
		fmt.Fprintf(w, "       replaced: %s\n", r)
	}
}

// compare refuses a score below the committed one, and names the steps that
// passed before.
func compare(was, now string) error {
	before, now2 := sum(was), sum(now)
	if now2 >= before {
		return nil
	}
	var lost []string
	for _, line := range strings.Split(now, "\n") {
		step, ok := strings.CutPrefix(line, "FAIL ")
		n, _, _ := strings.Cut(step, ".")
		if ok && strings.Contains("\n"+was, "\nPASS "+n+".") {
			lost = append(lost, step)
		}
	}
	return fmt.Errorf("the score went down from %d to %d:\n  %s", before, now2, strings.Join(lost, "\n  "))
}

// sum reads the last line of a score; nothing committed counts as 0.
func sum(text string) int {
	n := 0
	if i := strings.LastIndex(text, "guide: "); i >= 0 {
		fmt.Sscanf(text[i:], "guide: %d of", &n) //nolint:errcheck // 0 if it cannot be read
	}
	return n
}
