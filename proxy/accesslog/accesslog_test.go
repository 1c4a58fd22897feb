package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/http"
)

// file is what a test writes to.
type file struct {
	mu  sync.Mutex
	b   bytes.Buffer
	err error // of the next writes
	cut int   // bytes that are taken before err
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		f.b.Write(p[:min(f.cut, len(p))])
		return min(f.cut, len(p)), f.err
	}
	return f.b.Write(p)
}

func (f *file) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.b.String()
}

// one makes a log of one logger into a file.
func one(t testing.TB, s Spec, to io.Writer) (*Log, *Sinks) {
	t.Helper()
	k := NewSinks(slog.New(slog.DiscardHandler))
	k.OpenWith(s.Path, func() (io.Writer, error) { return to, nil })
	l, err := New([]Spec{s}, k)
	if err != nil {
		t.Fatal(err)
	}
	return l, k
}

func request() *http.Request {
	return &http.Request{Method: []byte("GET"), Target: []byte("/a?b=c"), Authority: []byte("api:80"), Major: 1, Minor: 1,
		Fields: []http.Field{{Name: []byte("User-Agent"), Value: []byte(`cu"rl`)}, {Name: []byte("x-bad"), Value: []byte("a\x01\xff\tz")}}}
}

func fill(e *Entry) *Entry {
	at := time.Date(2026, 3, 7, 4, 5, 6, 123456789, time.UTC)
	e.Start, e.Sent, e.Received, e.Head, e.End = at, at.Add(time.Millisecond), at.Add(2*time.Millisecond), at.Add(8*time.Millisecond), at.Add(1500*time.Microsecond+10*time.Millisecond)
	e.Status, e.BytesReceived, e.BytesSent = 200, 3, 1024
	e.Details, e.Route, e.Cluster, e.Attempts = "via_upstream", "r", "outbound|80||api", 1
	e.Upstream, e.UpstreamLocal = netip.MustParseAddrPort("10.0.0.2:80"), netip.MustParseAddrPort("10.0.0.1:999")
	e.Client, e.Local = netip.MustParseAddrPort("[fd00::1]:5"), netip.MustParseAddrPort("10.96.0.1:80")
	return e
}

// istio is the format that Istio's users have without saying anything.
const istio = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ` +
	`"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ` +
	`"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"

func TestText(t *testing.T) {
	for format, want := range map[string]string{
		istio: `[2026-03-07T04:05:06.123Z] "GET /a?b=c HTTP/1.1" 200 - via_upstream - "-" 3 1024 11 7 "-" "cu"rl" "-" "api:80" "10.0.0.2:80" outbound|80||api 10.0.0.1:999 10.96.0.1:80 [fd00::1]:5 - r` + "\n",
		"%REQ(USER-AGENT):2% %REQ(a?b?user-agent)% %COMMON_DURATION(DS_RX_BEG:US_TX_BEG:us)% %RESPONSE_TX_DURATION% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %GRPC_STATUS% %TRACE_ID%": `cu cu"rl 1000 3 fd00::1 80 - -`,
		"": `[2026-03-07T04:05:06.123Z] "GET /a?b=c HTTP/1.1" 200 - 3 1024 11 7 "-" "cu"rl" "-" "api:80" "10.0.0.2:80"` + "\n",
	} {
		var f file
		l, k := one(t, Spec{Path: "x", Text: format}, &f)
		e := l.Entry()
		e.Request(request())
		e.Reply(nil)
		fill(e).Write()
		k.Close()
		if got := f.String(); got != want {
			t.Errorf("%q:\n%s\nwant\n%s", format, got, want)
		}
	}
}

// A rewritten path is the second choice of the usual format.
func TestRewritten(t *testing.T) {
	var f file
	l, k := one(t, Spec{Path: "x", Text: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(:PATH)% %REQ(:AUTHORITY)%\n"}, &f)
	for _, to := range []string{"/a?b=c", "/other"} {
		e, r := l.Entry(), request()
		e.Request(r)
		r.Target, r.Authority = []byte(to), []byte("host")
		e.Rewritten(r)
		e.Write()
	}
	k.Close()
	if got, want := f.String(), "/a?b=c /a?b=c host\n/a?b=c /other host\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestJSON(t *testing.T) {
	text := func(k, v string) Field { return Field{k, Value{Text: v}} }
	v := Value{Kind: Object, Fields: []Field{
		text("start", "%START_TIME%"), text("code", "%RESPONSE_CODE%"), text("flags", "%RESPONSE_FLAGS%"), text("agent", "%REQ(USER-AGENT)%"), text("none", "%REQ(NO)%"),
		text("mixed", "%REQ(NO)%|%RESPONSE_CODE%"), text("bad", "%REQ(X-BAD)%"), text("plain", `a"b`), text("took", "%DURATION%"), text("service", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
		{"n", Value{Kind: Raw, Raw: "1.5"}}, {"o", Value{Kind: Object, Fields: []Field{text("p", "%PROTOCOL%")}}}, {"l", Value{Kind: List, List: []Value{{Text: "%REQ(NO)%"}, {Kind: Raw, Raw: "true"}}}},
	}}
	for omit, want := range map[bool]string{
		false: `{"agent":"cu\"rl","bad":"a\u0001` + "\ufffd" + `\tz","code":200,"flags":"-","l":[null,true],"mixed":"-|200","n":1.5,"none":null,"o":{"p":"HTTP/1.1"},"plain":"a\"b","service":"7","start":"2026-03-07T04:05:06.123Z","took":11}` + "\n",
		true:  `{"agent":"cu\"rl","bad":"a\u0001` + "\ufffd" + `\tz","code":200,"flags":"-","l":[null,true],"mixed":"|200","n":1.5,"o":{"p":"HTTP/1.1"},"plain":"a\"b","service":"7","start":"2026-03-07T04:05:06.123Z","took":11}` + "\n",
	} {
		var f file
		l, k := one(t, Spec{Path: "x", JSON: &v, OmitEmpty: omit}, &f)
		e := l.Entry()
		e.Request(request())
		fill(e).Write()
		k.Close()
		if got := f.String(); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// Nobody can write a line of his own by what he calls himself.
func TestALineIsOneLine(t *testing.T) {
	var f file
	l, k := one(t, Spec{Path: "x", Text: "%REQUESTED_SERVER_NAME% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"}, &f)
	e := l.Entry()
	e.ServerName, e.Failure = "a\nb", "valid for c\r\nd"
	e.Write()
	k.Close()
	if got, want := f.String(), "a_b valid for c__d\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestBadSpecs(t *testing.T) {
	deep := Value{Text: "x"}
	for range maxDepth + 2 {
		deep = Value{Kind: Object, Fields: []Field{{"a", deep}}}
	}
	for _, s := range []Spec{{Text: "%X%"}, {JSON: &Value{Text: "a"}}, {JSON: &deep}, {JSON: &Value{Kind: Object, Fields: []Field{{"a", Value{Text: "%X%"}}}}}} {
		if Check([]Spec{s}) == nil {
			t.Errorf("%+v is accepted", s)
		}
		if _, err := New([]Spec{s}, NewSinks(slog.New(slog.DiscardHandler))); err == nil {
			t.Errorf("%+v is accepted", s)
		}
	}
}

// stuck is a file that takes nothing until it is let go.
type stuck struct {
	file
	in, out chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	select {
	case s.in <- struct{}{}:
	default:
	}
	<-s.out
	return s.file.Write(p)
}

// A file that is slow makes nobody wait: what does not fit is dropped, whole
// lines of it, and counted.
func TestSlowFile(t *testing.T) {
	s := &stuck{in: make(chan struct{}, 1), out: make(chan struct{})}
	l, k := one(t, Spec{Path: "x", Text: strings.Repeat("x", 999) + "\n"}, s)
	const lines = 5000
	l.Entry().Write()
	k.Flush()
	<-s.in // the writer is stuck with the first line
	begin := time.Now()
	for range lines {
		l.Entry().Write()
	}
	took := time.Since(begin)
	if k.Dropped() == 0 || took > 5*time.Second {
		t.Errorf("%d lines dropped, in %v", k.Dropped(), took)
	}
	close(s.out)
	k.Close()
	if got := uint64(strings.Count(s.String(), "\n")); got != k.Written() || got+k.Dropped() != lines+1 || got*1000 > maxHeld+1000 {
		t.Errorf("%d lines there, %d written, %d dropped", got, k.Written(), k.Dropped())
	}
	for line := range strings.Lines(s.String()) {
		if len(line) != 1000 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
}

// A disk that is full loses lines, says so once, and is written again when it
// can be.
func TestFullDisk(t *testing.T) {
	var said bytes.Buffer
	f := &file{err: errors.New("no space left on device"), cut: 3}
	k := NewSinks(slog.New(slog.NewTextHandler(&said, nil)))
	s := k.OpenWith("/var/log/a", func() (io.Writer, error) { return f, nil })
	s.flush([]byte("aa\nbb\ncc\n"), 3)
	f.cut = 2
	s.flush([]byte("dddd\n"), 1)
	f.mu.Lock()
	f.err = nil
	f.mu.Unlock()
	s.flush([]byte("ee\n"), 1)
	if got := f.String(); got != "aa\ndd\nee\n" || k.Dropped() != 3 || k.Written() != 2 {
		t.Errorf("%q, %d dropped, %d written", got, k.Dropped(), k.Written())
	}
	if n := strings.Count(said.String(), "lines of the access log are lost"); n != 1 || !strings.Contains(said.String(), "no space left") {
		t.Errorf("said %d times: %s", n, said.String())
	}
	k.Close()
}

func TestFileCannotBeOpened(t *testing.T) {
	k := NewSinks(slog.New(slog.DiscardHandler))
	k.Open(t.TempDir() + "/no/such/folder/log").write([]byte("a\n"))
	k.Close()
	if k.Dropped() != 1 || k.Written() != 0 {
		t.Errorf("%d dropped, %d written", k.Dropped(), k.Written())
	}
}

// Files that nothing is logged to any more are closed, and others take their
// place; a log that is still used keeps its own.
func TestFilesAreClosedAfterUse(t *testing.T) {
	k := NewSinks(slog.New(slog.DiscardHandler))
	defer k.Close()
	dir := t.TempDir()
	write := func(l *Log) {
		e := l.Entry()
		e.Write()
	}
	log := func(name string) *Log {
		t.Helper()
		l, err := New([]Spec{{Path: filepath.Join(dir, name), Text: "line\n"}}, k)
		if err != nil {
			t.Fatal(err)
		}
		write(l)
		return l
	}
	kept := log("kept")
	for i := range 2 * maxSinks {
		log(fmt.Sprint("file", i))
		log("kept") // one more that is replaced
		waittest.Until(t, "the file is closed", func() bool {
			runtime.GC()
			k.mu.Lock()
			defer k.mu.Unlock()
			return len(k.open) == 1
		})
	}
	waittest.Until(t, "descriptors are gone", func() bool {
		k.Flush()
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		var open []string
		for _, fd := range fds {
			if at, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(at, dir) {
				open = append(open, filepath.Base(at))
			}
		}
		return slices.Equal(open, []string{"kept"})
	})
	write(kept)
	k.Close()
	for name, lines := range map[string]int{"kept": 2 + 2*maxSinks, "file0": 1, fmt.Sprint("file", 2*maxSinks-1): 1} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || bytes.Count(b, []byte("line\n")) != lines {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if n := k.Dropped(); n != 0 {
		t.Errorf("%d lines are lost", n)
	}
}

// Lines are written though nobody asks for it.
func TestFlushes(t *testing.T) {
	s := &stuck{in: make(chan struct{}, 1), out: make(chan struct{})}
	l, k := one(t, Spec{Path: "x", Text: "a\n"}, s)
	for range 3 {
		l.Entry().Write()
		select {
		case <-s.in:
		case <-time.After(10 * time.Second):
			t.Fatal("never written")
		}
		s.out <- struct{}{}
	}
	k.Close()
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and pools forget on purpose")
	}
	l, k := one(t, Spec{Path: "x", Text: istio}, io.Discard)
	defer k.Close()
	r, fields := request(), []http.Field{{Name: []byte("a"), Value: []byte("b")}}
	if n := testing.AllocsPerRun(2000, func() {
		e := l.Entry()
		e.Request(r)
		e.Reply(fields)
		fill(e).Write()
	}); n > 0.1 {
		t.Errorf("%v allocations a line", n)
	}
}

func BenchmarkLine(b *testing.B) {
	l, k := one(b, Spec{Path: "x", Text: istio}, io.Discard)
	defer k.Close()
	r := request()
	for b.Loop() {
		e := l.Entry()
		e.Request(r)
		fill(e).Write()
	}
}

func FuzzQuoted(f *testing.F) {
	f.Add([]byte("a\"\\\x00\xff\u2028é\n"))
	f.Fuzz(func(t *testing.T, v []byte) {
		var back string
		if err := json.Unmarshal(appendQuoted(nil, v), &back); err != nil {
			t.Fatal(err)
		}
		if want := string(bytes.ToValidUTF8(v, []byte("\ufffd"))); len(v) < 2 && back != want {
			t.Errorf("%q became %q", v, back)
		}
	})
}
