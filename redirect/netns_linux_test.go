package redirect

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/listen"
	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second

// ns is a network namespace of a test.
type ns struct {
	t  *testing.T
	fd int
}

// do runs f on a thread inside the namespace; the thread ends with it.
func (n ns) do(f func() error) {
	n.t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread is spoilt
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	if err := <-done; err != nil {
		n.t.Fatal(err)
	}
}

func (n ns) ip(args string) {
	n.t.Helper()
	n.run("ip", strings.Fields(args)...)
}

func (n ns) run(name string, args ...string) string {
	n.t.Helper()
	var out []byte
	n.do(func() (err error) {
		if out, err = exec.Command(name, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
		}
		return nil
	})
	return string(out)
}

func newNS(t *testing.T) ns {
	t.Helper()
	type made struct {
		fd  int
		err error
	}
	ch := make(chan made)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- made{0, err}
			return
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		ch <- made{fd, err}
	}()
	m := <-ch
	if m.err != nil {
		t.Skip("no network namespace can be made here:", m.err)
	}
	t.Cleanup(func() { unix.Close(m.fd) })
	n := ns{t, m.fd}
	n.ip("link set lo up")
	return n
}

// pod is a namespace with a cable to a client's, and a proxy's two listeners.
type pod struct {
	ns
	client            ns
	outbound, inbound net.Listener
}

func newPod(t *testing.T) pod {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command")
	}
	p := pod{ns: newNS(t), client: newNS(t)}
	p.do(func() error {
		out, err := exec.Command("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), p.client.fd)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	for n, a := range map[ns]string{p.ns: "1", p.client: "2"} {
		n.ip("link set eth0 up")
		n.ip("addr add 10.77.0." + a + "/24 dev eth0")
		n.ip("addr add fd77::" + a + "/64 dev eth0 nodad")
	}
	p.ip("route add default via 10.77.0.2")
	p.ip("-6 route add default via fd77::2")
	p.outbound = p.listen(":4140")
	p.inbound = p.listen(":4143")
	return p
}

func (n ns) listen(address string) (ln net.Listener) {
	n.t.Helper()
	n.do(func() (err error) { ln, err = net.Listen("tcp", address); return err })
	n.t.Cleanup(func() { ln.Close() })
	return ln
}

// dial connects as a user from inside the namespace.
func (n ns) dial(uid int, to string) (c net.Conn, err error) {
	n.do(func() error {
		if uid != 0 {
			// Of this thread alone; the socket keeps it as its owner.
			syscall.RawSyscall(syscall.SYS_SETFSUID, uintptr(uid), 0, 0)
		}
		c, err = net.DialTimeout("tcp", to, patience)
		return nil
	})
	if err == nil {
		n.t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// expect dials and tells which listener gets the connection, and what the
// original destination is there.
func (p pod) expect(from ns, uid int, to string, ln net.Listener, original string) {
	p.t.Helper()
	ch := make(chan net.Conn, 1)
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	go func() {
		c, err := ln.Accept()
		if err != nil {
			p.t.Errorf("to %s: nothing arrives: %v", to, err)
		}
		ch <- c
	}()
	if _, err := from.dial(uid, to); err != nil {
		p.t.Errorf("to %s: %v", to, err)
	}
	c := <-ch
	if c == nil {
		return
	}
	defer c.Close()
	got, err := listen.OriginalDst(c.(*net.TCPConn))
	if original == "" {
		if err != listen.ErrNotRedirected {
			p.t.Errorf("to %s: redirected from %v, %v", to, got, err)
		}
		return
	}
	if err != nil || got != netip.MustParseAddrPort(original) {
		p.t.Errorf("to %s: original destination %v, %v", to, got, err)
	}
}

func (p pod) apply(c Config, backend string) {
	p.t.Helper()
	plan, err := NewPlan(c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.do(func() error {
		by, err := Apply(plan, backend, slog.New(slog.DiscardHandler))
		if err == nil && by != backend {
			err = fmt.Errorf("done by %s", by)
		}
		return err
	})
}

var full = Config{
	InboundPort: 4143, OutboundPort: 4140, ProxyUID: 2102, IPv6: true,
	SkipInboundPorts: []PortRange{{2222, 2222}, {3000, 3010}}, SkipOutboundPorts: []PortRange{{2525, 2525}},
	SkipSubnets: []netip.Prefix{netip.MustParsePrefix("10.77.0.2/32"), netip.MustParsePrefix("fd77::2/128")},
}

func TestNamespace(t *testing.T) {
	for _, backend := range []string{NFT, Legacy} {
		t.Run(backend, func(t *testing.T) {
			p := newPod(t)
			// The client's namespace is the world: it owns every address.
			for _, a := range []string{"10.99.0.9/32", "fd99::9/128"} {
				p.client.ip("addr add " + a + " dev lo")
			}
			world := p.client.listen(":8080")
			mail := p.client.listen(":2525")
			ssh, ranged, admin := p.listen(":2222"), p.listen(":3005"), p.listen(":4191")
			own := p.listen(":7070")

			holds := func() {
				t.Helper()
				for _, w := range []struct{ world, pod, neighbour, local string }{
					{"10.99.0.9", "10.77.0.1", "10.77.0.2", "127.0.0.1"},
					{"[fd99::9]", "[fd77::1]", "[fd77::2]", "[::1]"},
				} {
					p.expect(p.ns, 0, w.world+":8080", p.outbound, w.world+":8080")
					p.expect(p.ns, 1000, w.world+":9999", p.outbound, w.world+":9999")
					p.expect(p.ns, 2102, w.world+":8080", world, "")
					p.expect(p.ns, 0, w.world+":2525", mail, "")
					p.expect(p.ns, 0, w.neighbour+":8080", world, "")
					p.expect(p.ns, 0, w.local+":7070", own, "")
					p.expect(p.ns, 0, w.pod+":7070", own, "")
					p.expect(p.client, 0, w.pod+":7070", p.inbound, w.pod+":7070")
					p.expect(p.client, 0, w.pod+":1", p.inbound, w.pod+":1")
					p.expect(p.client, 0, w.pod+":2222", ssh, "")
					p.expect(p.client, 0, w.pod+":3005", ranged, "")
					p.expect(p.client, 0, w.pod+":4191", admin, "")
					p.expect(p.client, 0, w.pod+":4143", p.inbound, "")
				}
			}
			p.apply(full, backend)
			holds()
			p.udpPasses()
			before := p.dump(backend)
			p.apply(full, backend)
			if after := p.dump(backend); after != before {
				t.Errorf("a second time changes something:\n%s\n%s", before, after)
			}
			holds()

			// Another plan replaces the first as a whole.
			v4 := full
			v4.IPv6, v4.SkipOutboundPorts = false, nil
			p.apply(v4, backend)
			p.expect(p.ns, 0, "10.99.0.9:2525", p.outbound, "10.99.0.9:2525")
			p.expect(p.ns, 0, "[fd99::9]:8080", world, "")

			for range 2 {
				p.do(func() error { return Undo(Auto) })
				p.expect(p.ns, 0, "10.99.0.9:8080", world, "")
				p.expect(p.client, 0, "10.77.0.1:7070", own, "")
			}
		})
	}
}

// udpPasses sends a datagram to a port whose TCP is redirected.
func (p pod) udpPasses() {
	p.t.Helper()
	var ln net.PacketConn
	p.client.do(func() (err error) { ln, err = net.ListenPacket("udp", ":8080"); return err })
	defer ln.Close()
	p.do(func() error {
		c, err := net.Dial("udp", "10.99.0.9:8080")
		if err == nil {
			defer c.Close()
			_, err = c.Write([]byte("x"))
		}
		return err
	})
	ln.SetReadDeadline(time.Now().Add(patience))
	if _, _, err := ln.ReadFrom(make([]byte, 10)); err != nil {
		p.t.Errorf("a datagram is lost: %v", err)
	}
}

// dump is the rule set as the ordinary tools see it, "" without them.
func (n ns) dump(backend string) string {
	n.t.Helper()
	tools := [][]string{{"nft", "list", "ruleset"}}
	if backend == Legacy {
		tools = [][]string{{"iptables-legacy-save", "-t", "nat"}, {"ip6tables-legacy-save", "-t", "nat"}}
	}
	var out strings.Builder
	for _, c := range tools {
		if _, err := exec.LookPath(c[0]); err != nil {
			continue
		}
		for line := range strings.Lines(n.run(c[0], c[1:]...)) {
			// Comments have the time; counters go on.
			if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
				out.WriteString(line)
			}
		}
	}
	return out.String()
}

// What others have in the nat table stays, with its jumps and counters.
func TestLegacyKeepsOthersRules(t *testing.T) {
	p := newPod(t)
	if _, err := exec.LookPath("iptables-legacy"); err != nil {
		t.Skip("needs the iptables-legacy command")
	}
	rule := func(args string) { t.Helper(); p.run("iptables-legacy", strings.Fields("-w -t nat "+args)...) }
	rule("-N THEIRS")
	rule("-N EMPTY")
	rule("-A THEIRS -p udp --dport 53 -j RETURN")
	rule("-A THEIRS -s 192.0.2.0/24 -g EMPTY")
	rule("-A THEIRS -m comment --comment counted")
	rule("-A OUTPUT -j THEIRS")
	rule("-A OUTPUT -d 198.51.100.1/32 -p tcp -j DNAT --to-destination 10.77.0.2:8080")
	rule("-A PREROUTING -i nothere -j EMPTY")
	rule("-A POSTROUTING -o nothere -j MASQUERADE")
	p.client.listen(":8080")
	theirs := p.dump(Legacy)
	if _, err := p.dial(0, "198.51.100.1:80"); err != nil {
		t.Fatal(err)
	}
	packets := func() string {
		// The rule that only counts, by its packets.
		for line := range strings.Lines(p.run("iptables-legacy", strings.Fields("-w -t nat -nvxL THEIRS")...)) {
			if strings.Contains(line, "counted") {
				return strings.Fields(line)[0]
			}
		}
		return "no such rule"
	}
	counted := packets()
	if counted == "0" {
		t.Error("their rule counts nothing")
	}
	p.apply(full, Legacy)
	p.apply(full, Legacy)
	if got := packets(); got != counted {
		t.Errorf("their counter was %s and is %s", counted, got)
	}
	got := p.dump(Legacy)
	for line := range strings.Lines(theirs) {
		if !strings.Contains(got, line) {
			t.Errorf("lost: %s", line)
		}
	}
	if n := strings.Count(got, "-j WEFT_OUTPUT"); n != 2 { // one a family
		t.Errorf("%d jumps to our chain:\n%s", n, got)
	}
	p.expect(p.ns, 0, "10.99.0.9:80", p.outbound, "10.99.0.9:80")
	p.do(func() error { return Undo(Legacy) })
	for line := range strings.Lines(p.dump(Legacy)) {
		if strings.Contains(line, "WEFT") {
			t.Errorf("left: %s", line)
		}
	}
	if ours := p.run("iptables-legacy-save", "-t", "nat"); !strings.Contains(ours, ":THEIRS") || !strings.Contains(ours, ":EMPTY") || strings.Contains(ours, "WEFT") {
		t.Errorf("afterwards:\n%s", ours)
	}
}

func TestNFTLeavesOtherTablesAlone(t *testing.T) {
	p := newPod(t)
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs the nft command")
	}
	p.run("nft", "add", "table", "ip", "theirs")
	p.apply(full, NFT)
	if got := p.run("nft", "list", "tables"); !strings.Contains(got, "ip theirs") || !strings.Contains(got, "ip weft") || !strings.Contains(got, "ip6 weft") {
		t.Errorf("%s", got)
	}
	p.do(func() error { return Undo(NFT) })
	if got := strings.TrimSpace(p.run("nft", "list", "tables")); got != "table ip theirs" {
		t.Errorf("%s", got)
	}
}

// The program itself, on the thread of a namespace.
func TestRunInNamespace(t *testing.T) {
	p := newPod(t)
	var log bytes.Buffer
	run := func(args string) {
		t.Helper()
		p.do(func() error {
			log.Reset()
			if code := Run(strings.Fields(args), &log, &log); code != 0 {
				return fmt.Errorf("%s: exit code %d\n%s", args, code, &log)
			}
			return nil
		})
	}
	run("--ipv6=false")
	if n := strings.Count(log.String(), "rule set"); n == 0 || !strings.Contains(log.String(), "backend=nft") {
		t.Errorf("the log does not tell the rules:\n%s", &log)
	}
	p.expect(p.ns, 0, "10.99.0.9:80", p.outbound, "10.99.0.9:80")
	run("--undo")
	run("--undo")
	own := p.listen(":7070")
	p.expect(p.client, 0, "10.77.0.1:7070", own, "")
}
