package cluster

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ownership is what proves that a process belongs to the cluster below a root.
type ownership struct {
	layout Layout
	nets   map[string]bool // its network namespace, as /proc shows it
	pids   map[int]bool    // recorded
	spare  map[int]bool    // this process and those above it
}

func (l Layout) ownership() ownership {
	o := ownership{layout: l, nets: map[string]bool{}, pids: map[int]bool{}, spare: map[int]bool{}}
	for _, m := range l.mounts() {
		if strings.HasPrefix(m.root, "net:[") {
			o.nets[m.root] = true
		}
	}
	for _, r := range l.recorded() {
		if r.alive() {
			o.pids[r.PID] = true
			if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", r.PID)); err == nil {
				o.nets[ns] = true
			}
		}
	}
	// The namespaces of this process and of the machine are never ours.
	for _, p := range []string{"/proc/self/ns/net", "/proc/1/ns/net"} {
		if ns, err := os.Readlink(p); err == nil {
			delete(o.nets, ns)
		}
	}
	for pid := os.Getpid(); pid > 1; pid = parent(pid) {
		o.spare[pid] = true
	}
	return o
}

// owns says whether a process is the cluster's: it was recorded, or is in one
// of its network namespaces, or is a shim of its containerd, or has a root
// file system from below its root.
func (o ownership) owns(pid int) bool {
	if pid <= 1 || o.spare[pid] {
		return false
	}
	if o.pids[pid] {
		return true
	}
	if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && o.nets[ns] {
		return true
	}
	if args := cmdline(pid); len(args) > 0 && strings.HasPrefix(filepath.Base(args[0]), "containerd-shim") && contains(args, o.layout.containerdSocket()) {
		return true
	}
	return rootedBelow(pid, o.layout.Root)
}

// rootedBelow says whether a process's root is an overlay whose upper layer
// lies below a folder: a container's.
func rootedBelow(pid int, root string) bool {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return false
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if len(fields) > 5 && fields[4] == "/" && strings.Contains(s.Text(), " - overlay ") {
			return strings.Contains(s.Text(), "upperdir="+root+"/")
		}
	}
	return false
}

func parent(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return 0
	}
	p, _ := strconv.Atoi(f[1])
	return p
}

// pids lists the cluster's processes.
func (l Layout) pids() []int {
	o := l.ownership()
	entries, _ := os.ReadDir("/proc")
	var out []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || !o.owns(pid) {
			continue
		}
		if _, err := startTime(pid); err == nil { // not a zombie
			out = append(out, pid)
		}
	}
	return out
}

// mount is one line of mountinfo.
type mount struct{ point, root string }

// mounts lists what is mounted below the root, in the order of mounting, and
// the cluster's named network namespace.
func (l Layout) mounts() []mount {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var out []mount
	for _, line := range strings.Split(string(b), "\n") {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if point := unescape(f[4]); below(point, l.Root) || point == l.netns() {
			out = append(out, mount{point, f[3]})
		}
	}
	return out
}

// unescape undoes mountinfo's octal escapes of blanks.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// Leftovers lists everything on the machine that belongs to the cluster below
// this root, apart from its logs and what is cached: empty when it is down.
func Leftovers(l Layout) []string {
	var out []string
	for _, pid := range l.pids() {
		out = append(out, fmt.Sprintf("process %d: %s", pid, strings.Join(cmdline(pid), " ")))
	}
	for _, m := range l.mounts() {
		out = append(out, "mount "+m.point)
	}
	if _, err := os.Stat(l.netns()); err == nil {
		out = append(out, "network namespace "+l.netns())
	}
	for _, f := range append(l.shimSockets(), l.strayFiles()...) {
		out = append(out, "file "+f)
	}
	for _, g := range cgroups(l.containerIDs()) {
		out = append(out, "cgroup "+g)
	}
	entries, _ := os.ReadDir(l.Root)
	for _, e := range entries {
		if e.Name() != "log" {
			out = append(out, "file "+l.in(e.Name()))
		}
	}
	return out
}

// Process is one process of the cluster: a part of Kubernetes, a shim or a
// container's.
type Process struct {
	PID     int
	Program string // the file's last part
}

// Processes lists the cluster's processes.
func Processes(l Layout) []Process {
	var out []Process
	for _, pid := range l.pids() {
		if args := cmdline(pid); len(args) > 0 {
			out = append(out, Process{pid, filepath.Base(args[0])})
		}
	}
	return out
}
