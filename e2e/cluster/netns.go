package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// inside calls f on a thread that is in the cluster's network namespace. A
// process that f starts and a socket that f makes stay in it.
func (c *Cluster) inside(f func() error) error { return insideNetns(c.netns(), f) }

func insideNetns(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread is in another namespace, so it ends with
		// its goroutine instead of being reused.
		runtime.LockOSThread()
		h, err := netns.GetFromPath(path)
		if err != nil {
			result <- fmt.Errorf("network namespace %s: %w (is the cluster up?)", path, err)
			return
		}
		defer h.Close()
		if err := netns.Set(h); err != nil {
			result <- fmt.Errorf("enter network namespace %s: %w", path, err)
			return
		}
		result <- f()
	}()
	return <-result
}

// Dial connects from inside the cluster's network namespace, as a process on
// the node would. The address must be an IP address and a port.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) == nil {
		return nil, fmt.Errorf("dial %s: an IP address is wanted, names are not resolved here", address)
	}
	var conn net.Conn
	err = c.inside(func() error {
		var d net.Dialer
		var err error
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Start starts a command inside the cluster's network namespace.
func (c *Cluster) Start(cmd *exec.Cmd) error { return c.inside(cmd.Start) }

// Inside calls f on a thread inside the cluster's network namespace.
func (c *Cluster) Inside(f func() error) error { return c.inside(f) }

// makeNetns makes the namespace and, in it, the node's address. There is no
// link to the outside: both ends of the pair are inside.
func (c *Cluster) makeNetns() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	if err := newNamed(c.netns()); err != nil {
		return fmt.Errorf("make network namespace: %w", err)
	}
	return c.inside(func() error {
		if err := links(); err != nil {
			return err
		}
		for name, value := range map[string]string{
			"net/ipv4/ip_forward":                 "1",
			"net/ipv4/conf/all/route_localnet":    "1",
			"net/ipv4/conf/all/rp_filter":         "0",
			"net/bridge/bridge-nf-call-iptables":  "1",
			"net/bridge/bridge-nf-call-ip6tables": "1",
		} {
			// /proc/thread-self: /proc/sys/net is that of the thread.
			err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// newNamed binds a new network namespace to a file, as "ip netns add" does.
func newNamed(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // as in insideNetns: the thread ends with this
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- err
			return
		}
		result <- unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "none", unix.MS_BIND, "")
	}()
	if err := <-result; err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// links sets up the loopback device and the node's address.
func links() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	// Some kernels have no "dummy" link type; a pair with both ends here serves.
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0-peer"}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("add the node's link: %w", err)
	}
	for _, name := range []string{"eth0-peer", "eth0"} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(l); err != nil {
			return err
		}
	}
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(NodeIP).To4(), Mask: net.CIDRMask(24, 32)}}); err != nil {
		return fmt.Errorf("set the node's address: %w", err)
	}
	// A default route, so that addresses of no local net are refused by nobody
	// answering rather than by a missing route, as on a real node.
	return netlink.RouteAdd(&netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: net.ParseIP("192.0.2.1")})
}
