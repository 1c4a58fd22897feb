package proxytest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// small marks the process that TestMemoryOfStalledStreams starts.
const small = "serve-with-little-memory"

// TestServeWithLittleMemory is that process: a proxy before the application whose
// address is an argument. It says where it is, and lives until its input ends.
func TestServeWithLittleMemory(t *testing.T) {
	if flag.Arg(0) != small {
		return
	}
	at, err := netip.ParseAddrPort(flag.Arg(1))
	if err != nil {
		t.Fatal(err)
	}
	w := New(t, NewCA(t), ID("small"), Options{})
	go w.Activity.Guard(t.Context(), debug.SetMemoryLimit(-1), slog.New(slog.DiscardHandler))
	fmt.Printf("at %s\n", w.Before(at))
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println("held", w.Activity.Held())
}

// peak is the most that a process has had resident, but for what of its files is
// mapped, which the system takes back as it likes; in bytes.
func peak(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) int {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(b)
		if m == nil {
			t.Fatalf("no %s in %s", name, b)
		}
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		return n << 10
	}
	return value("VmHWM") - value("RssFile")
}

// stall opens streams that take no byte of their responses, and waits until the
// proxy has heard of all; it says how many were refused.
func stall(t *testing.T, to netip.AddrPort, streams int, fields ...hpack.HeaderField) (c net.Conn, refused int) {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Error(err)
		return nil, 0
	}
	// What the proxy says is read all the time, or it would end the connection.
	told := make(chan int, 1)
	go func() {
		fr, n := http2.NewFramer(io.Discard, bufio.NewReader(c)), 0
		for {
			f, err := fr.ReadFrame()
			if err != nil {
				told <- n
				return
			}
			if r, ok := f.(*http2.RSTStreamFrame); ok && r.ErrCode == http2.ErrCodeRefusedStream {
				n++
			}
			if p, ok := f.(*http2.PingFrame); ok && p.IsAck() {
				told <- n
				_, _ = io.Copy(io.Discard, c)
				return
			}
		}
	}()
	out := bufio.NewWriterSize(c, 64<<10)
	_, _ = io.WriteString(out, http2.ClientPreface)
	fr := http2.NewFramer(out, nil)
	_ = fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.SetMaxDynamicTableSize(0)
	for i := range streams {
		block.Reset()
		for _, f := range append([]hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: ":authority", Value: "a"}}, fields...) {
			_ = enc.WriteField(f) // to a buffer
		}
		id, b := uint32(2*i+1), block.Bytes()
		n := min(len(b), 16<<10)
		err := fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n], EndStream: true, EndHeaders: n == len(b)})
		for b = b[n:]; err == nil && len(b) > 0; b = b[n:] {
			n = min(len(b), 16<<10)
			err = fr.WriteContinuation(id, n == len(b), b[:n])
		}
		if err != nil {
			break // it was reset, as it may be
		}
	}
	_ = fr.WritePing(false, [8]byte{})
	_ = out.Flush()
	select {
	case refused = <-told:
	case <-time.After(6 * patient):
		t.Error("the proxy is silent")
	}
	return c, refused
}

// Whoever opens streams and reads nothing does not get a proxy killed, and its
// memory comes back.
func TestMemoryOfStalledStreams(t *testing.T) {
	const limit = 64 << 20
	app := h2app(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServeWithLittleMemory$", "--", small, app.String())
	may := limit / 10 * 9
	if raceEnabled {
		may *= 8 // else the detector's own memory leaves nothing
	}
	cmd.Env = append(os.Environ(), "GOMEMLIMIT="+strconv.Itoa(may))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan()
	to, err := netip.ParseAddrPort(strings.TrimPrefix(lines.Text(), "at "))
	if err != nil {
		t.Fatal(lines.Text(), err)
	}

	attack := func(what string, conns, streams int, fields ...hpack.HeaderField) {
		t.Helper()
		var wg sync.WaitGroup
		var mu sync.Mutex
		all := 0
		var open []net.Conn
		for range conns {
			wg.Go(func() {
				c, n := stall(t, to, streams, fields...)
				mu.Lock()
				defer mu.Unlock()
				open, all = append(open, c), all+n
			})
		}
		wg.Wait()
		got := peak(t, cmd.Process.Pid)
		if all == 0 {
			t.Errorf("%s: none was refused", what)
		}
		t.Logf("%s: %d refused, at most %d MiB resident", what, all, got>>20)
		if got > limit && !raceEnabled {
			t.Errorf("%s: %d bytes were resident, of %d", what, got, limit)
		}
		for _, c := range open {
			if c != nil {
				c.Close()
			}
		}
		// Then it serves as before.
		ctx, cancel := context.WithTimeout(t.Context(), 3*patient)
		defer cancel()
		for err = errors.New("not asked"); err != nil && ctx.Err() == nil; {
			var q *http.Request
			if q, err = http.NewRequestWithContext(ctx, "GET", "http://"+to.String()+"/", nil); err != nil {
				t.Fatal(err)
			}
			var resp *http.Response
			if resp, err = h2client(t).Do(q); err == nil {
				if resp.Body.Close(); resp.StatusCode != 200 {
					err = errors.New(resp.Status)
				}
			}
		}
		if err != nil {
			t.Fatalf("after %s: %v", what, err)
		}
	}
	attack("streams", 100, 200)
	if raceEnabled {
		return // its memory for garbage would be gigabytes
	}
	var large []hpack.HeaderField
	for i := range 15 {
		large = append(large, hpack.HeaderField{Name: "x-" + strconv.Itoa(i), Value: strings.Repeat("v", 3500)})
	}
	attack("heads", 40, 100, large...)
	in.Close()
	for lines.Scan() {
		if lines.Text() == "held 0" {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
