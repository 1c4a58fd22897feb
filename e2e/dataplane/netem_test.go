package dataplane

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNetem runs the fault tests once more where packets are delayed, reordered
// and lost: in a network namespace of its own, whose loopback device has a
// netem queue. It needs root and the kernel's netem.
func TestNetem(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	if *interop != "" || *inNetem {
		t.Skip("is in the namespace already")
	}
	self, err := os.Executable()
	must(t, err)
	run := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "unshare", append([]string{"-n", "--"}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const up = "ip link set lo up && tc qdisc add dev lo root netem "
	if out, err := run("sh", "-c", up+"delay 1ms"); err != nil {
		t.Skipf("no network namespace with netem here: %v: %s", err, out)
	}
	for _, k := range []string{"delay 3ms 2ms 25%", "delay 1ms reorder 25% 50%", "loss 0.5% delay 1ms", "duplicate 2%"} {
		t.Run(k, func(t *testing.T) {
			out, err := run("sh", "-c", up+k+` && exec "$0" "$@"`, self, "-test.run", "TestUnderNetem", "-test.timeout", "150s",
				"-dataplane.netem", "-dataplane.bin", world.bin)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if !strings.Contains(out, "PASS") {
				t.Fatal("the tests did not run:\n", out)
			}
		})
	}
}

// TestUnderNetem is what runs inside: many requests of both protocols, long
// responses, and resets in the middle.
func TestUnderNetem(t *testing.T) {
	if !*inNetem {
		t.Skip("is run by TestNetem")
	}
	f := newFaulty(t)
	before := usageOf(f.pair)
	for range 10 {
		f.verdict(t, "under netem", true, f.load(t, patience)...)
	}
	for range 3 {
		c := dial(t, f.client[0].addr)
		id := fmt.Sprintf("/long%d", ids.Add(1))
		c.send("GET " + id + " HTTP/1.1\r\nHost: a\r\n\r\n")
		if m := c.want("GET", 200); m.body != strings.Repeat(id+"\n", longLines) {
			t.Errorf("%d bytes arrived changed", len(m.body))
		}
	}
	for _, place := range f.boxes() {
		for _, n := range []int{10, 200, 3000} {
			for _, m := range place {
				m.expect(fate{reset: n, stop: -1, end: -1}, fate{back: true, reset: n, stop: -1, end: -1})
			}
			f.verdict(t, fmt.Sprintf("at byte %d", n), false, f.load(t, patience)...)
		}
	}
	f.whole(t, before)
}
