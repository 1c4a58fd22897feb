package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	errEnded   = errors.New("the process has ended")
	errTooLate = errors.New("not in time")
)

// process is a child.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process, by force after ten seconds.
func (p *process) stop() error {
	if p == nil || p.ended() {
		return nil
	}
	// One that ended meanwhile is no error.
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return nil
}

// cpu is the processor time that the threads of the process have taken. The
// counters of /proc/PID/stat tick every 10 ms only; these count nanoseconds.
func (p *process) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.pid()))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("%w: no schedstat of process %d", errEnded, p.pid())
	}
	var sum time.Duration
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread is gone
		}
		first, _, _ := strings.Cut(string(b), " ")
		ns, err := strconv.ParseInt(first, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", f, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// memory is the resident memory in MiB, and the most since forgetPeak.
func (p *process) memory() (now, peak float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0, 0, err
	}
	for _, line := range bytes.Split(b, []byte("\n")) {
		name, value, _ := strings.Cut(string(line), ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmRSS":
			now = kib / 1024
		case "VmHWM":
			peak = kib / 1024
		}
	}
	return now, peak, nil
}

// forgetPeak begins a new peak (proc(5), clear_refs).
func (p *process) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid()), []byte("5"), 0)
}

// until asks every few milliseconds until there is no error.
func until(ctx context.Context, limit time.Duration, what string, ok func() error) error {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for {
		err := ok()
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("%w: %s (after %s): %w", errTooLate, what, limit, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// pause lets time pass, unless the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
