package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// record is what is written down about a started process. A pid alone does
// not name a process for long: the time of its start does.
type record struct {
	PID     int      `json:"pid"`
	Started string   `json:"started"` // field 22 of /proc/PID/stat, in clock ticks since boot
	Args    []string `json:"args"`
}

// start runs a program in the cluster's namespace, detached from the caller,
// with its output in the log folder.
func (c *Cluster) start(name string, args ...string) error {
	log, err := os.Create(c.in("log", name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = c.Root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.inside(cmd.Start); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	pid := cmd.Process.Pid
	go cmd.Wait() //nolint:errcheck // only so that no zombie stays while this process lives
	started, err := startTime(pid)
	if err != nil {
		return fmt.Errorf("%s ended at once; see %s", name, log.Name())
	}
	b, err := json.Marshal(record{PID: pid, Started: started, Args: args})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.processes(), name), b, 0o644)
}

// startTime returns field 22 of /proc/PID/stat; an error means no such process.
func startTime(pid int) (string, error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", err
	}
	// The second field is the name in parentheses and may hold anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return "", fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	if f[0] == "Z" {
		return "", fs.ErrNotExist
	}
	return f[19], nil
}

func cmdline(pid int) []string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimRight(string(b), "\x00"), "\x00")
}

// alive says whether this very process still runs: same pid, same start, same
// command line. The line is empty for a moment while a program is loaded.
func (r record) alive() bool {
	started, err := startTime(r.PID)
	if err != nil || started != r.Started {
		return false
	}
	args := cmdline(r.PID)
	return args == nil || strings.Join(args, "\x00") == strings.Join(r.Args, "\x00")
}

func (l Layout) record(name string) (record, error) {
	var r record
	b, err := os.ReadFile(filepath.Join(l.processes(), name))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}

// recorded lists the processes that were written down, by name.
func (l Layout) recorded() map[string]record {
	out := map[string]record{}
	names, err := os.ReadDir(l.processes())
	if err != nil {
		return out
	}
	for _, e := range names {
		if r, err := l.record(e.Name()); err == nil {
			out[e.Name()] = r
		}
	}
	return out
}

func (r record) end(grace time.Duration) error {
	if err := syscall.Kill(r.PID, syscall.SIGTERM); err != nil {
		return ignoreGone(err)
	}
	if poll(grace, func() bool { return !r.alive() }) {
		return nil
	}
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		return ignoreGone(err)
	}
	if !poll(5*time.Second, func() bool { return !r.alive() }) {
		return fmt.Errorf("process %d survived SIGKILL", r.PID)
	}
	return nil
}

func ignoreGone(err error) error {
	if errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return err
}

// poll asks until it is true or the time is over.
func poll(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if ok() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}
