package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// ended runs a drain and returns a channel that is closed with its end.
func ended(d *drain, again <-chan struct{}) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.wait(context.Background(), again)
	}()
	return done
}

func still(t *testing.T, done <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-done:
		t.Fatal("the proxy ended although ", why)
	case <-time.After(700 * time.Millisecond): // three looks
	}
}

func soon(t *testing.T, done <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the proxy did not end although ", why)
	}
}

func TestDrainOutlivesTheApplication(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	at := netip.MustParseAddrPort(l.Addr().String())
	var carried atomic.Int64
	d := &drain{ports: func() []netip.AddrPort { return []netip.AddrPort{at} }, carried: carried.Load, log: quiet()}
	done := ended(d, nil)
	still(t, done, "the application listens")
	carried.Store(1)
	l.Close()
	still(t, done, "a request is under way")
	carried.Store(0)
	soon(t, done, "the application is gone")
}

func TestDrainEndsOtherwise(t *testing.T) {
	none := func() []netip.AddrPort { return nil }
	busy := func() int64 { return 1 }
	idle := func() int64 { return 0 }
	again := make(chan struct{})
	done := ended(&drain{ports: none, carried: idle, log: quiet()}, again)
	still(t, done, "no port of the application is known")
	close(again)
	soon(t, done, "a second signal came")
	soon(t, ended(&drain{ports: none, carried: busy, limit: 50 * time.Millisecond, log: quiet()}, nil), "the limit is over")
	soon(t, ended(&drain{ports: none, carried: idle, ended: true, log: quiet()}, nil), "a native sidecar's application has ended")
}

// proc writes a process into a folder that looks like /proc.
func proc(t *testing.T, root string, pid, parent int, name string, state byte) {
	t.Helper()
	dir := filepath.Join(root, fmt.Sprint(pid))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stat := fmt.Sprintf("%d (%s) %c %d 1 1 0 -1", pid, name, state, parent)
	if err := os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLastProcess(t *testing.T) {
	root := t.TempDir()
	os.MkdirAll(filepath.Join(root, "sys"), 0o700)
	proc(t, root, 1, 0, "pause", 'S')
	proc(t, root, 7, 0, "weft-proxy", 'S')
	proc(t, root, 9, 7, "child", 'S')
	proc(t, root, 12, 0, "weft-proxy", 'S') // a probe: weft-proxy wait
	proc(t, root, 15, 0, "dead", 'Z')
	ps, err := processes(root)
	if err != nil || len(ps) != 5 {
		t.Fatal(ps, err)
	}
	if n := others(ps, 7); n != 0 {
		t.Errorf("%d others before the application", n)
	}
	done := make(chan bool, 1)
	go func() { done <- awaitLast(context.Background(), root, 7, 10*time.Millisecond) }()
	select {
	case <-done:
		t.Fatal("ended before the application began")
	case <-time.After(100 * time.Millisecond):
	}
	proc(t, root, 20, 0, "a (job) x", 'R')
	if ps, _ := processes(root); others(ps, 7) != 1 {
		t.Fatal("the application is not seen: ", ps)
	}
	select {
	case <-done:
		t.Fatal("ended while the application runs")
	case <-time.After(100 * time.Millisecond):
	}
	os.RemoveAll(filepath.Join(root, "20"))
	select {
	case got := <-done:
		if !got {
			t.Error("not told that it is alone")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the end of the application was not seen")
	}
}

func TestWait(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var asked atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := make([]byte, 1024)
			c.Read(b)
			if asked.Add(1) < 3 {
				fmt.Fprint(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
			} else {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			c.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := Wait(ctx, l.Addr().String()); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d requests", err, asked.Load())
	}
	l.Close()
	ctx, cancel = context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := Wait(ctx, l.Addr().String()); err == nil {
		t.Error("ready where nobody listens")
	}
}

func TestCommands(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"weft-proxy", "version"}, 0, "dev"}, {[]string{"weft-proxy", "help"}, 0, "usage"}, {[]string{"weft-proxy", "dance"}, 2, "unknown command"},
		{[]string{"weft-proxy"}, 2, "WEFT_CONTROL_ADDRESS"}, {[]string{"weft-proxy", "wait", "soon"}, 2, "no duration"},
	} {
		var out bytes.Buffer
		if code := Main(context.Background(), c.args, none, nil, &out, &out); code != c.code || !strings.Contains(out.String(), c.says) {
			t.Errorf("%v: %d %s", c.args, code, out.String())
		}
	}
}
