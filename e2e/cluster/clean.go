package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clean removes everything that a run made, whether it ended well, was killed
// half way, or still goes on. Only what is proven to be ours is touched.
func (l Layout) clean() error {
	sockets, containers := l.shimSockets(), l.containerIDs()
	if err := l.killAll(); err != nil {
		return err
	}
	if err := l.unmountAll(); err != nil {
		return err
	}
	var errs []error
	for _, f := range append(append(sockets, l.strayFiles()...), l.netns()) {
		if err := os.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, removeCgroups(containers))
	entries, err := os.ReadDir(l.Root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	for _, e := range entries {
		if e.Name() != "log" {
			errs = append(errs, os.RemoveAll(l.in(e.Name())))
		}
	}
	return errors.Join(errs...)
}

// killAll kills every process of ours until there is none. Nothing of a
// cluster's state is worth an orderly end.
func (l Layout) killAll() error {
	var left []int
	if poll(20*time.Second, func() bool {
		left = l.pids()
		for _, pid := range left {
			l.kill(pid)
		}
		return len(left) == 0
	}) {
		return nil
	}
	return fmt.Errorf("processes %v of the cluster cannot be killed", left)
}

// kill kills a process if it is still ours at that moment: the handle that
// os.FindProcess takes cannot come to mean another process meanwhile.
func (l Layout) kill(pid int) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer p.Release() // nothing is lost
	if o := l.ownership(); o.owns(pid) {
		_ = p.Signal(syscall.SIGKILL) // gone is what we want
	}
}

// unmountAll unmounts what is mounted below the root, last first, and the
// name of the network namespace.
func (l Layout) unmountAll() error {
	for range 50 {
		points := l.mounts()
		if len(points) == 0 {
			return nil
		}
		for i := len(points) - 1; i >= 0; i-- {
			if err := unix.Unmount(points[i].point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
				return fmt.Errorf("unmount %s: %w", points[i].point, err)
			}
		}
	}
	return fmt.Errorf("mounts keep appearing below %s", l.Root)
}

// shimSockets lists the sockets that our shims made in containerd's shared
// folder. Each bundle holds the address of its shim's.
func (l Layout) shimSockets() []string {
	files, _ := filepath.Glob(l.in("run", "containerd", "io.containerd.runtime.v2.task", "*", "*", "address"))
	var out []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if s, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "unix://"); err == nil && ok && filepath.IsAbs(s) {
			out = append(out, s)
		}
	}
	return out
}

// strayFiles lists what kubelet and CNI plugins put in fixed places.
func (l Layout) strayFiles() []string {
	out, _ := filepath.Glob("/var/lib/cni/results/" + network + "-*")
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, f := range links {
		if to, err := os.Readlink(f); err == nil && below(to, l.Root) {
			out = append(out, f)
		}
	}
	return out
}

// containerIDs lists the containers that this root has known.
func (l Layout) containerIDs() []string {
	var out []string
	for _, dir := range []string{l.in("run", "containerd", "io.containerd.runtime.v2.task", "k8s.io"), l.in("run", "runc", "k8s.io")} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			out = append(out, e.Name())
		}
	}
	return out
}

const cgroupRoot = "/sys/fs/cgroup"

// cgroups lists the containers' cgroups, in whichever hierarchies there are.
func cgroups(containers []string) []string {
	var out []string
	for _, id := range containers {
		for _, pattern := range []string{"k8s.io", "*/k8s.io"} {
			found, _ := filepath.Glob(filepath.Join(cgroupRoot, pattern, id))
			out = append(out, found...)
		}
	}
	return out
}

func removeCgroups(containers []string) error {
	var errs []error
	for _, dir := range cgroups(containers) {
		// A cgroup can be removed once the kernel has reaped its processes.
		var err error
		if !poll(3*time.Second, func() bool {
			err = removeCgroup(dir)
			return err == nil
		}) {
			errs = append(errs, err)
		}
		os.Remove(filepath.Dir(dir)) // fails as long as others are in it
	}
	return errors.Join(errs...)
}

// removeCgroup removes a cgroup and those below it: only folders can be
// removed there, the files go with them.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func below(path, root string) bool { return strings.HasPrefix(path, root+"/") }
