package load

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Tools says where the generators are that are not ours; empty is missing.
type Tools struct{ Wrk, H2load, Fortio, Self string }

// Command is a generator's command line and how its output is read.
type Command struct {
	Args  []string
	Parse func(stdout []byte) (Result, error)
	// Interrupt says that it is to be interrupted when the slice is over, and
	// prints its results then; others end by themselves soon after.
	Interrupt bool
}

// A generator must outlast the slice, also on a busy machine: one that can be
// interrupted by spare, one that cannot by rest.
const spare, rest = 60 * time.Second, 600 * time.Millisecond

// Has says whether the generator of the load can be run.
func (t Tools) Has(g Generator) bool {
	switch g {
	case Wrk:
		return t.Wrk != ""
	case H2load:
		return t.H2load != ""
	case Fortio, Health:
		return t.Fortio != ""
	}
	return true
}

// Command makes the command for a load. Files go to the folder dir.
func (t Tools) Command(s Spec, dir string) Command {
	all := s.Warm + s.Duration
	switch s.Generator {
	case Wrk:
		a := []string{t.Wrk, "-t1", "-c" + strconv.Itoa(s.Connections), "-d" + strconv.Itoa(int(math.Ceil((all + spare).Seconds()))) + "s", "--latency", "--timeout", "10s", "-H", "Host: " + host}
		for _, f := range fields {
			a = append(a, "-H", f[0]+": "+f[1])
		}
		return Command{append(a, "http://"+s.Address+s.path()), parseWrk, true}
	case H2load:
		// It forgets its statistics when it is interrupted, so it ends itself.
		log := filepath.Join(dir, "h2load.log")
		a := []string{t.H2load, "-t1", "-c" + strconv.Itoa(s.Connections), "-m" + strconv.Itoa(max(1, s.Streams)),
			"-D" + strconv.Itoa(int(math.Ceil((all + rest).Seconds()))), "--log-file=" + log}
		for _, f := range fields {
			a = append(a, "-H", strings.ToLower(f[0])+": "+f[1])
		}
		return Command{append(a, "http://"+s.Address+s.path()), func(out []byte) (Result, error) {
			defer os.Remove(log)
			return parseH2load(out, log)
		}, false}
	case Fortio, Health:
		out := filepath.Join(dir, "fortio.json")
		qps := strconv.Itoa(s.Rate)
		a := []string{t.Fortio, "load", "-quiet", "-json", out, "-qps", qps, "-c", strconv.Itoa(s.Connections), "-t", (all + rest).String(), "-p", "50,99", "-r", "0.00001"}
		if s.Generator == Health {
			a = append(a, "-grpc", "-health", "-s", strconv.Itoa(max(1, s.Streams)), "http://"+s.Address)
		} else {
			a = append(a, "-H", "Host: "+host)
			for _, f := range fields {
				a = append(a, "-H", f[0]+": "+f[1])
			}
			a = append(a, "http://"+s.Address+s.path())
		}
		return Command{a, func([]byte) (Result, error) {
			defer os.Remove(out)
			return parseFortio(out)
		}, false}
	}
	s.Duration += spare
	j, _ := json.Marshal(s) // a struct of numbers and texts cannot fail
	return Command{[]string{t.Self, Role, string(j)}, func(out []byte) (r Result, err error) {
		if err = json.Unmarshal(out, &r); err != nil {
			err = fmt.Errorf("%w: %w", ErrOutput, err)
		}
		return r, err
	}, true}
}

var (
	wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)
	wrkQuantile = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)\b`)
	wrkStatus   = regexp.MustCompile(`Non-2xx or 3xx responses: (\d+)`)
	wrkSocket   = regexp.MustCompile(`Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)`)
)

var units = map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}

func parseWrk(out []byte) (Result, error) {
	var r Result
	m := wrkRequests.FindSubmatch(out)
	if m == nil {
		return r, fmt.Errorf("%w: wrk said: %s", ErrOutput, out)
	}
	r.Requests, _ = strconv.ParseUint(string(m[1]), 10, 64) // digits by the expression
	for _, q := range wrkQuantile.FindAllSubmatch(out, -1) {
		v, err := strconv.ParseFloat(string(q[2]), 64)
		if err != nil {
			return r, fmt.Errorf("%w: wrk said: %s", ErrOutput, q[0])
		}
		if v *= units[string(q[3])]; string(q[1]) == "50" {
			r.P50 = v
		} else {
			r.P99 = v
		}
	}
	for _, e := range []*regexp.Regexp{wrkStatus, wrkSocket} {
		if m := e.FindSubmatch(out); m != nil {
			r.First = string(m[0])
			for _, n := range m[1:] {
				v, _ := strconv.ParseUint(string(n), 10, 64)
				r.Errors += v
			}
		}
	}
	return r, nil
}

var (
	h2loadStatus   = regexp.MustCompile(`status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx`)
	h2loadRequests = regexp.MustCompile(`(\d+) failed, (\d+) errored, (\d+) timeout`)
)

// parseH2load takes the codes from what h2load prints and the times from its
// log: start (µs), status, duration (µs).
func parseH2load(out []byte, log string) (Result, error) {
	var r Result
	m, e := h2loadStatus.FindSubmatch(out), h2loadRequests.FindSubmatch(out)
	if m == nil || e == nil {
		return r, fmt.Errorf("%w: h2load said: %s", ErrOutput, out)
	}
	r.Requests, _ = strconv.ParseUint(string(m[1]), 10, 64)
	for _, n := range [][]byte{m[2], m[3], m[4], e[1], e[2], e[3]} {
		v, _ := strconv.ParseUint(string(n), 10, 64)
		r.Errors += v
	}
	if r.Errors > 0 {
		r.First = string(m[0]) + "; " + string(e[0])
	}
	f, err := os.Open(log)
	if err != nil {
		return r, fmt.Errorf("h2load's log: %w", err)
	}
	defer f.Close()
	var ns []int64
	for sc := bufio.NewScanner(f); sc.Scan(); {
		c := bytes.Fields(sc.Bytes())
		if len(c) < 3 {
			continue
		}
		if us, err := strconv.ParseInt(string(c[2]), 10, 64); err == nil {
			ns = append(ns, us*1000)
		}
	}
	r.latencies(ns)
	return r, nil
}

func parseFortio(file string) (Result, error) {
	var r Result
	b, err := os.ReadFile(file)
	if err != nil {
		return r, fmt.Errorf("fortio's output: %w", err)
	}
	var o struct {
		RetCodes          map[string]uint64
		DurationHistogram struct {
			Count       uint64
			Percentiles []struct{ Percentile, Value float64 }
		}
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return r, fmt.Errorf("%w: fortio: %w", ErrOutput, err)
	}
	r.Requests = o.DurationHistogram.Count
	for code, n := range o.RetCodes {
		if code != "200" && code != "SERVING" {
			r.Errors += n
			r.First = fmt.Sprintf("%d times %s", n, code)
		}
	}
	for _, p := range o.DurationHistogram.Percentiles {
		if p.Percentile == 50 {
			r.P50 = p.Value * 1e3
		} else {
			r.P99 = p.Value * 1e3
		}
	}
	return r, nil
}
