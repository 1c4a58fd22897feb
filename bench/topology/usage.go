package topology

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pids are the process and its children, such as the workers of a master.
func (p *Process) pids() []int {
	out := []int{p.PID()}
	for i := 0; i < len(out); i++ {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", out[i])) // the pattern is right
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // the thread ended meanwhile
			}
			for _, c := range strings.Fields(string(b)) {
				if n, err := strconv.Atoi(c); err == nil {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// CPU is the user and system time that the process and its children have used
// so far, in the scheduler's nanoseconds.
func (p *Process) CPU() (time.Duration, error) {
	var sum int64
	for _, pid := range p.pids() {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid)) // the pattern is right
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				continue // the thread ended meanwhile
			}
			ns, _, _ := bytes.Cut(b, []byte(" "))
			v, err := strconv.ParseInt(string(ns), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", f, err)
			}
			sum += v
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("%s (process %d) has no CPU time: it ended, or the kernel keeps no schedstat", p.name, p.PID())
	}
	return time.Duration(sum), nil
}

// RSS is the resident memory in MiB. Of a master with workers it is the
// workers': the master idles and shares most of its pages.
func (p *Process) RSS() (float64, error) {
	pids := p.pids()
	if len(pids) > 1 {
		pids = pids[1:]
	}
	var sum float64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, err
		}
		f := strings.Fields(string(b))
		if len(f) < 2 {
			return 0, fmt.Errorf("/proc/%d/statm: %q", pid, b)
		}
		n, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/statm: %w", pid, err)
		}
		sum += float64(n) * float64(os.Getpagesize()) / (1 << 20)
	}
	return sum, nil
}
