// Command verdict runs go test with its arguments and prints what go test would,
// the output of failed tests alone. A test that is skipped for want of something
// fails the run, unless a file says that it may be: where all must be checked, a
// check that did not take place is no success.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

const module = "github.com/weftmesh/weft/"

func main() {
	file := flag.String("skips", "", "the tests that may be skipped: lines of folder, name and reason; a name stands for its sub-tests too")
	flag.Parse()
	if err := run(*file, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "verdict:", err)
		os.Exit(1)
	}
}

func run(file string, args []string, out io.Writer) error {
	allowed := map[string]bool{}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if allowed, err = list(string(b)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	skips, err := read(stdout, out)
	err = errors.Join(err, cmd.Wait())
	for _, s := range skips {
		if !allowed[s.key()] {
			err = errors.Join(err, fmt.Errorf("%s %s was skipped: %s", s.folder, s.test, s.why))
		}
	}
	return err
}

// list reads the tests that may be skipped.
func list(text string) (map[string]bool, error) {
	out := map[string]bool{}
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 {
			return nil, fmt.Errorf("line %d: a folder, a test and a reason are wanted", i+1)
		}
		out[f[0]+" "+f[1]] = true
	}
	return out, nil
}

// skip is a test that was not made.
type skip struct{ folder, test, why string }

func (s skip) key() string {
	top, _, _ := strings.Cut(s.test, "/")
	return s.folder + " " + top
}

// event is a line of go test -json (go doc test2json).
type event struct{ Action, Package, Test, Output string }

// read passes on what is to be seen and collects what was skipped.
func read(in io.Reader, out io.Writer) ([]skip, error) {
	var skips []skip
	said := map[string]*strings.Builder{} // by package and test, until it ends
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil {
				fmt.Fprint(out, line) // not by a test
				continue
			}
			if s, ok := e.take(said, out); ok {
				skips = append(skips, s)
			}
		}
		if errors.Is(err, io.EOF) {
			return skips, nil
		}
		if err != nil {
			return skips, err
		}
	}
}

// take acts on an event.
func (e event) take(said map[string]*strings.Builder, out io.Writer) (s skip, skipped bool) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if e.Test == "" {
			if e.Output != "PASS\n" {
				fmt.Fprint(out, e.Output)
			}
			return s, false
		}
		if said[key] == nil {
			said[key] = &strings.Builder{}
		}
		said[key].WriteString(e.Output)
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			return s, false
		}
		text := ""
		if b := said[key]; b != nil {
			text = b.String()
		}
		delete(said, key)
		if e.Action == "fail" {
			fmt.Fprint(out, text)
		}
		if e.Action == "skip" {
			return skip{strings.TrimPrefix(e.Package, module), e.Test, reason(text)}, true
		}
	}
	return s, false
}

// reason is what a test said when it was skipped.
func reason(text string) string {
	var parts []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "--- ") {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " ")
}
