package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// MaxOther is how much of a core other work may take during a slice.
const MaxOther = 0.12

// tick is the unit of times in /proc/PID/stat: USER_HZ, 100 on all of Linux'
// architectures that Go runs on.
const tick = 10 * time.Millisecond

// task is one process of the machine.
type task struct {
	parent int
	name   string
	used   time.Duration // with its children that have ended and were waited for
}

// tasks lists all processes.
func tasks() (map[int]task, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no process in /proc: %w", err)
	}
	m := make(map[int]task, len(files))
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // it ended meanwhile
		}
		pid, t, err := parseTask(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		m[pid] = t
	}
	return m, nil
}

// parseTask reads /proc/PID/stat (proc_pid_stat(5)).
func parseTask(b []byte) (int, task, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return 0, task{}, fmt.Errorf("malformed: %q", b)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:open])))
	f := strings.Fields(string(b[end+1:]))
	if err != nil || len(f) < 15 {
		return 0, task{}, fmt.Errorf("malformed: %q", b)
	}
	t := task{name: string(b[open+1 : end])}
	if t.parent, err = strconv.Atoi(f[1]); err != nil {
		return 0, task{}, fmt.Errorf("malformed: %q", b)
	}
	for _, n := range f[11:15] { // utime, stime, cutime, cstime
		v, err := strconv.ParseInt(n, 10, 64)
		if err != nil {
			return 0, task{}, fmt.Errorf("malformed: %q", b)
		}
		t.used += time.Duration(v) * tick
	}
	return pid, t, nil
}

// othersTime adds up the time of every process that is neither self nor below
// it. Time of processes that end moves to their parents, so the sum of a
// machine does not lose what short-lived ones used. The kernel's threads that
// receive packets do it for the load.
func othersTime(all map[int]task, self int) time.Duration {
	ours := map[int]bool{self: true, 0: false}
	var below func(pid int) bool
	below = func(pid int) bool {
		if v, ok := ours[pid]; ok {
			return v
		}
		t, ok := all[pid]
		v := ok && below(t.parent)
		ours[pid] = v
		return v
	}
	var sum time.Duration
	for pid, t := range all {
		if !below(pid) && !strings.HasPrefix(t.name, "ksoftirqd/") {
			sum += t.used
		}
	}
	return sum
}

// cores is how much of one core others used between two sums.
func cores(before, after, elapsed time.Duration) float64 {
	if elapsed <= 0 || after < before {
		return 0
	}
	return float64(after-before) / float64(elapsed)
}
