package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// result is what became of one test of the suite, or of a part of one.
type result struct {
	Name    string
	Outcome string // PASS, FAIL or SKIP
	Took    string
}

var (
	resultLine  = regexp.MustCompile(`(?m)^ *--- (PASS|FAIL|SKIP): (TestConformance\S*) \(([^)]*)\)`)
	errNoResult = errors.New("the suite said nothing of any test")
)

// readLog finds the outcomes in the suite's log, in its order.
func readLog(file string) ([]result, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return outcomes(raw)
}

func outcomes(log []byte) ([]result, error) {
	var out []result
	for _, m := range resultLine.FindAllSubmatch(log, -1) {
		out = append(out, result{Outcome: string(m[1]), Name: string(m[2]), Took: string(m[3])})
	}
	if len(out) == 0 {
		return nil, errNoResult
	}
	return out, nil
}

// tests are the results of the suite's tests, without their parts.
func tests(results []result) []result {
	var out []result
	for _, r := range results {
		if name, ok := strings.CutPrefix(r.Name, "TestConformance/"); ok && !strings.Contains(name, "/") {
			r.Name = name
			out = append(out, r)
		}
	}
	return out
}

// isMesh says whether a test is one for meshes. The others are for gateways,
// and the suite skips them since no such feature is claimed.
func (r result) isMesh() bool { return strings.HasPrefix(r.Name, "Mesh") }

// table is what is printed.
func table(results []result) string {
	var b strings.Builder
	count := map[string]int{}
	for _, r := range tests(results) {
		if !r.isMesh() {
			continue
		}
		count[r.Outcome]++
		fmt.Fprintf(&b, "%-4s  %-55s %8s\n", r.Outcome, r.Name, r.Took)
		if r.Outcome != "FAIL" {
			continue
		}
		for _, part := range results {
			if strings.HasPrefix(part.Name, "TestConformance/"+r.Name+"/") && part.Outcome != "PASS" {
				fmt.Fprintf(&b, "        %s %s\n", part.Outcome, strings.TrimPrefix(part.Name, "TestConformance/"+r.Name+"/"))
			}
		}
	}
	fmt.Fprintf(&b, "mesh tests: %d passed, %d failed, %d skipped\n", count["PASS"], count["FAIL"], count["SKIP"])
	return b.String()
}

// judge demands that every test for meshes ran and passed.
func judge(results []result, only string) error {
	var faults []error
	ran := 0
	for _, r := range tests(results) {
		if !r.isMesh() || only != "" && r.Name != only {
			continue
		}
		if r.Outcome != "PASS" {
			faults = append(faults, fmt.Errorf("%s: %s", r.Name, r.Outcome))
		} else {
			ran++
		}
	}
	if ran == 0 {
		faults = append(faults, errNoResult)
	}
	return errors.Join(faults...)
}

// progress passes the lines on that tell of a test's begin or end.
type progress struct {
	to   io.Writer
	rest []byte
}

// Write implements io.Writer.
func (p *progress) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	for {
		line, rest, ok := bytes.Cut(p.rest, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		if l := bytes.TrimLeft(line, " "); bytes.HasPrefix(l, []byte("--- ")) || bytes.HasPrefix(line, []byte("=== RUN")) && bytes.Count(line, []byte("/")) == 1 {
			fmt.Fprintf(p.to, "%s\n", line)
		}
		p.rest = rest
	}
}
