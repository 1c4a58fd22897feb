package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// need is a program of the distribution and the Debian package that has it.
type need struct{ program, pkg string }

var needs = []need{
	{"containerd", "containerd"},
	{"ctr", "containerd"},
	{"containerd-shim-runc-v2", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
	{"nft", "nftables"},
	{cniDir + "/bridge", "containernetworking-plugins"},
	{cniDir + "/host-local", "containernetworking-plugins"},
	{"/bin/busybox", "busybox-static"},
}

// cniDir is where Debian keeps the CNI plugins.
const cniDir = "/usr/lib/cni"

// CheckHost says what the machine lacks, with the command that installs it.
func CheckHost() error {
	var programs, pkgs []string
	for _, n := range needs {
		if has(n.program) {
			continue
		}
		programs = append(programs, n.program)
		if !contains(pkgs, n.pkg) {
			pkgs = append(pkgs, n.pkg)
		}
	}
	if len(pkgs) > 0 {
		return fmt.Errorf("missing on this machine: %s; install them: apt-get install -y --no-install-recommends %s", strings.Join(programs, ", "), strings.Join(pkgs, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("a node needs root: it makes network namespaces and mounts")
	}
	return nil
}

func has(program string) bool {
	if strings.HasPrefix(program, "/") {
		_, err := os.Stat(program)
		return err == nil
	}
	_, err := exec.LookPath(program)
	return err == nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
