package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a child that dies with us.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; readable after done
}

type spec struct {
	name string
	args []string
	env  []string // added to ours
	out  io.Writer
	err  io.Writer
	in   io.Reader
	// foreground children share our terminal's process group and so its Ctrl-C.
	foreground bool
}

// start runs a child. Output that nobody asked for goes to its log file.
func (f Folder) start(s spec) (*process, error) {
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.in, s.out, s.err
	var log *os.File
	if s.out == nil || s.err == nil {
		var err error
		if log, err = os.OpenFile(f.LogFile(s.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, fmt.Errorf("open the log of %s: %w", s.name, err)
		}
		if s.out == nil {
			cmd.Stdout = log
		}
		if s.err == nil {
			cmd.Stderr = log
		}
	}
	// The kernel ends the child when we are killed; a process group of its own
	// keeps a terminal's Ctrl-C from reaching it before we have said goodbye.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: !s.foreground}
	cmd.WaitDelay = time.Second
	err := cmd.Start()
	if log != nil {
		log.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	p := &process{name: s.name, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to end and insists after the grace period.
func (p *process) stop(grace time.Duration) {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.done:
	case <-time.After(grace):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends the process at once.
func (p *process) kill() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	<-p.done
}

// exitCode is the code that a shell would show for the ended process.
func (p *process) exitCode() int {
	var e *exec.ExitError
	if errors.As(p.err, &e) {
		if ws, ok := e.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return e.ExitCode()
	}
	if p.err != nil {
		return 1
	}
	return 0
}
