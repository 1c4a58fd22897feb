package cluster

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A recorded pid that another process has got meanwhile is not ours to kill.
func TestOnlyTheRecordedProcessIsAlive(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	defer cmd.Process.Kill() // it may be gone
	started, err := startTime(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	r := record{PID: cmd.Process.Pid, Started: started, Args: cmd.Args}
	// The command line is empty for a moment while the program is loaded.
	if !poll(5*time.Second, func() bool { return cmdline(r.PID) != nil }) || !r.alive() {
		t.Fatal("a running process is not alive")
	}
	older, other := r, r
	older.Started, other.Args = "1", []string{"sleep", "61"}
	if older.alive() || other.alive() {
		t.Error("another start or another command line passes for the same process")
	}
	if err := r.end(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	<-done
	if r.alive() {
		t.Error("alive after its end")
	}
}

func TestAHalfWrittenRecordIsNoProcess(t *testing.T) {
	l := Layout{Root: t.TempDir()}
	if err := os.MkdirAll(l.processes(), 0o755); err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(record{PID: 1 << 22, Started: "1", Args: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"whole": whole, "half": whole[:10], "empty": nil} {
		if err := os.WriteFile(filepath.Join(l.processes(), name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.recorded(); len(got) != 1 || got["whole"].alive() {
		t.Errorf("recorded: %v", got)
	}
	if _, err := Attach(l); err == nil {
		t.Error("attached to a cluster that is not there")
	}
}

func TestOneCallerAtATime(t *testing.T) {
	l := Layout{Root: filepath.Join(t.TempDir(), "node")}
	unlock, err := l.acquire()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.acquire(); err == nil {
		t.Error("two hold the lock")
	}
	unlock()
	if unlock, err = l.acquire(); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestToolsAreKeyedByTheirModules(t *testing.T) {
	l, err := DefaultLayout()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, tool := range tools {
		k, err := tool.key(l)
		if err != nil {
			t.Fatal(err)
		}
		if seen[k] || len(tool.packages) != len(tool.programs) {
			t.Errorf("%s: key %s, %d packages, %d programs", tool.name, k, len(tool.packages), len(tool.programs))
		}
		seen[k] = true
		tool.ldflags += " -X main.x=y"
		if k2, err := tool.key(l); err != nil || k2 == k {
			t.Errorf("%s: other flags, same key %s (%v)", tool.name, k, err)
		}
	}
}
