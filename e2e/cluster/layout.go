package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// Addresses of the cluster. They mean something inside its namespace only.
const (
	NodeName     = "node"
	NodeIP       = "192.0.2.10"
	PodCIDR      = "10.244.0.0/24"
	ServiceCIDR  = "10.96.0.0/16"
	APIServiceIP = "10.96.0.1"
	DNSServiceIP = "10.96.0.10"
	APIPort      = "6443"
)

// netnsName is the cluster's network namespace below /run/netns.
const netnsName = "weft-cluster"

// netnsDir is where iproute2 keeps named network namespaces.
const netnsDir = "/run/netns"

// network is the name of the pods' CNI network.
const network = "weft-pods"

// Layout says where the cluster keeps what.
type Layout struct {
	// Cache holds what is built once: binaries and images. It survives Down.
	Cache string
	// Root holds one run: keys, state, logs, sockets. Only logs survive Down.
	Root string
	// Source is the root of the project's tree.
	Source string
}

// DefaultLayout is below the user's cache folder, outside any working tree.
func DefaultLayout() (Layout, error) {
	c, err := os.UserCacheDir()
	if err != nil {
		return Layout{}, err
	}
	src, err := sourceRoot()
	if err != nil {
		return Layout{}, err
	}
	c = filepath.Join(c, "weft", "cluster")
	return Layout{Cache: filepath.Join(c, "built"), Root: filepath.Join(c, "node"), Source: src}, nil
}

// sourceRoot finds the project's go.mod in the working folder or above it.
func sourceRoot() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := wd; ; d = filepath.Dir(d) {
		b, err := os.ReadFile(filepath.Join(d, "go.mod"))
		if err == nil && bytes.HasPrefix(bytes.TrimSpace(b), []byte("module github.com/weftmesh/weft\n")) {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.mod of the project in %s or above it: run this inside the project's tree", wd)
		}
	}
}

func (l Layout) in(elem ...string) string { return filepath.Join(append([]string{l.Root}, elem...)...) }

// Kubeconfig is the file that makes a client the cluster's administrator.
func (l Layout) Kubeconfig() string { return l.in("kubeconfig") }

// Logs is the folder with one log file a process.
func (l Layout) Logs() string { return l.in("log") }

func (l Layout) lock() string             { return l.Root + ".lock" }
func (l Layout) pki(name string) string   { return l.in("pki", name) }
func (l Layout) processes() string        { return l.in("pid") }
func (l Layout) containerdSocket() string { return l.in("run", "containerd.sock") }
func (l Layout) netns() string            { return filepath.Join(netnsDir, netnsName) }
