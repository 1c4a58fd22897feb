package proxytest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/policy"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// istioText is the format that Istio's users know.
const istioText = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ` +
	`"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ` +
	`"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"

// ledger is one access log that a test reads.
type ledger struct {
	*accesslog.Log
	text  lockedBuffer
	sinks *accesslog.Sinks
}

func newLedger(t testing.TB, format string) *ledger {
	t.Helper()
	l := &ledger{sinks: accesslog.NewSinks(slog.New(slog.DiscardHandler))}
	l.sinks.OpenWith("log", func() (io.Writer, error) { return &l.text, nil })
	var err error
	if l.Log, err = accesslog.New([]accesslog.Spec{{Path: "log", Text: format}}, l.sinks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.sinks.Close)
	return l
}

// discarded is Istio's log, into nowhere.
func discarded(t testing.TB) *accesslog.Log {
	t.Helper()
	sinks := accesslog.NewSinks(slog.New(slog.DiscardHandler))
	sinks.OpenWith("log", func() (io.Writer, error) { return io.Discard, nil })
	l, err := accesslog.New([]accesslog.Spec{{Path: "log", Text: istioText}}, sinks)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sinks.Close)
	return l
}

// slot holds the log for everything.
func (l *ledger) slot() *accesslog.Slot {
	s := &accesslog.Slot{}
	s.Set(l.Log, l.Log)
	return s
}

// lines waits for so many, and returns them.
func (l *ledger) lines(t testing.TB, n int) []string {
	t.Helper()
	var out []string
	waittest.Until(t, fmt.Sprintf("%d lines", n), func() bool {
		l.sinks.Flush()
		out = slices.Collect(strings.Lines(l.text.String()))
		return len(out) >= n
	})
	return out
}

// want compares the latest line with an expression.
func (l *ledger) want(t testing.TB, n int, expr string) {
	t.Helper()
	lines := l.lines(t, n)
	if got := lines[len(lines)-1]; len(lines) != n || !regexp.MustCompile(`\A`+expr+`\n\z`).MatchString(got) {
		t.Errorf("%d lines, the last is\n%swant\n%s", len(lines), got, expr)
	}
}

const (
	addrExpr = `127\.0\.0\.1:\d+`
	timeExpr = `\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\]`
)

// Both proxies tell the same request, each from its side, in Istio's words.
func TestAccessLogOfBothSides(t *testing.T) {
	ca := NewCA(t)
	server, client := newLedger(t, istioText), newLedger(t, istioText)
	at := app(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short and stout")
	})
	s := New(t, ca, ID("api"), Options{Logs: server.slot()})
	w := New(t, ca, ID("web"), Options{})
	d, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("outbound|80||api", Meshed(s.Before(at), ID("api"))), 1})
	d.Log(client.Log)

	req, err := http.NewRequest(http.MethodPost, "http://"+out.String()+"/pot?a=b", strings.NewReader("tea"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "api.default"
	req.Header = http.Header{"User-Agent": {"kettle"}, "X-Request-Id": {"42"}, "X-Forwarded-For": {"1.2.3.4"}}
	resp, err := browser(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()

	head := timeExpr + ` "POST /pot\?a=b HTTP/1\.1" 418 - via_upstream - "-" 3 15 \d+ \d+ "1\.2\.3\.4" "kettle" "42" "api\.default" "` + addrExpr + `" `
	client.want(t, 1, head+`outbound\|80\|\|api `+addrExpr+` - `+addrExpr+` - all`)
	server.want(t, 1, head+`inbound\|\d+\|\| `+addrExpr+` `+addrExpr+` `+addrExpr+` \S+ default`)
}

// Who the client proved to be, and what the moments of a request are.
func TestAccessLogNamesThePeer(t *testing.T) {
	ca := NewCA(t)
	l := newLedger(t, "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_DNS_SAN% %PROTOCOL% %GRPC_STATUS% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%\n")
	at, _ := grpcApp(t)
	s := New(t, ca, ID("api"), Options{Logs: l.slot()})
	w := New(t, ca, ID("web"), Options{})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Meshed(s.Before(at), ID("api"))), 1})
	if _, err := grpcClient(t, out).Check(context.Background(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	l.want(t, 1, regexp.QuoteMeta(ID("web").String())+` web\.\S+ HTTP/2 OK 1 \d+`)
}

// What comes to nothing is logged too, with Envoy's flags.
func TestAccessLogOfFailures(t *testing.T) {
	const format = `%REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %UPSTREAM_CLUSTER% %ROUTE_NAME%` + "\n"
	ca := NewCA(t)
	w := New(t, ca, ID("web"), Options{})
	l := newLedger(t, format)
	begun := make(chan struct{})
	at := app(t, func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			rw.Header().Set("Content-Length", "100")
			io.WriteString(rw, "x")
			rw.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/wait":
			close(begun)
			<-r.Context().Done()
		}
	})
	good, dead := w.Cluster("good", Plain(at)), w.Cluster("dead", Plain(porttest.Nobody(t)))
	var rules []*route.Rule
	for path, spec := range map[string]route.RuleSpec{
		"/go":    {Backends: []route.Backend{{Name: "good", Weight: 1, Cluster: good}}, Traffic: &route.Traffic{Direct: &route.Direct{Status: 410, Body: []byte("gone")}}},
		"/dead":  {Backends: []route.Backend{{Name: "dead", Weight: 1, Cluster: dead}}},
		"/empty": {Backends: []route.Backend{{Name: "empty", Weight: 1, Cluster: w.Cluster("empty")}}},
		"/none":  {},
		"/cut":   {Backends: []route.Backend{{Name: "good", Weight: 1, Cluster: good}}},
		"/wait":  {Backends: []route.Backend{{Name: "good", Weight: 1, Cluster: good}}},
		"/old":   {Backends: []route.Backend{{Name: "good", Weight: 1, Cluster: good}}, Traffic: &route.Traffic{Rewrite: &filter.Rewrite{Path: filter.Path{Full: "/new"}}}},
	} {
		spec.Name, spec.Match = path[1:], route.MatchSpec{Path: route.ExactPath, PathValue: path}
		r, err := route.NewRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	d, out := w.Destination("api:80", config.HTTP)
	d.Rules(rules...)
	d.Log(l.Log)

	n := 0
	for _, c := range []struct{ path, want string }{
		{"/go", `GET /go 410 - direct_response - go`},
		{"/dead", `GET /dead 503 UF upstream_reset_before_response_started\{connection_failure\} dead dead`},
		{"/empty", `GET /empty 503 UH no_healthy_upstream empty empty`},
		{"/none", `GET /none 500 NC cluster_not_found - none`},
		{"/nowhere", `GET /nowhere 404 NR route_not_found - -`},
		{"/cut", `GET /cut 200 UC upstream_reset_after_response_started\{connection_termination\} good cut`},
		{"/old", `GET /new 200 - via_upstream good old`},
	} {
		if resp, err := browser(t).Get("http://" + out.String() + c.path); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		n++
		l.want(t, n, c.want)
	}

	c := dial(t, out.String())
	io.WriteString(c, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begun
	c.Close()
	n++
	l.want(t, n, `GET /wait 0 DC downstream_remote_disconnect good wait`)

	c = dial(t, out.String())
	io.WriteString(c, "GET  / HTTP/1.1\r\n\r\n")
	io.Copy(io.Discard, c)
	n++
	l.want(t, n, `- - 400 DPE http1\.codec_error - -`)
}

// Connections without HTTP have a line each.
func TestAccessLogOfConnections(t *testing.T) {
	const format = `%PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%` + "\n"
	ca := NewCA(t)
	theirs, client := newLedger(t, format), newLedger(t, format)
	at := server(t, func(c *net.TCPConn) { io.Copy(c, c) })
	s := New(t, ca, ID("db"), Options{Logs: theirs.slot()})
	s.Policy(policy.Port{Mode: policy.Strict, Protocol: policy.Opaque})
	in := s.Before(at)
	w := New(t, ca, ID("web"), Options{Logs: client.slot()})
	d, out := w.Destination("db:1", config.TCP, Share{w.Cluster("db", Meshed(in, ID("db"))), 1})
	d.Log(client.Log)

	c, err := net.Dial("tcp", out.String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "hello")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello" {
		t.Fatal(string(b), err)
	}
	c.Close()
	client.want(t, 1, `- 0 - 5 5 db `+addrExpr)
	theirs.want(t, 1, `- 0 - 5 5 inbound\|\d+\|\| `+addrExpr)

	// Nobody there, and nothing known.
	d.Route(t, Share{w.Cluster("dead", Plain(porttest.Nobody(t))), 1})
	d.Log(client.Log)
	refusedBy(out)
	client.want(t, 2, `- 0 UF,URX 0 0 dead -`)
	refusedBy(w.Redirected(netip.MustParseAddrPort("192.0.2.1:9")))
	client.want(t, 3, `HTTP/1\.1 502 - 0 \d+ BlackHoleCluster -`)
	w.Source.SetUnknown(config.AllowAny)
	w.Registry.Apply(upstream.Spec{Name: upstream.PassthroughCluster, Kind: upstream.OriginalDestination})
	p, err := net.Dial("tcp", w.Redirected(at).String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(p, "ab")
	p.(*net.TCPConn).CloseWrite()
	io.Copy(io.Discard, p)
	p.Close()
	client.want(t, 4, `- 0 - 2 2 PassthroughCluster `+regexp.QuoteMeta(at.String()))

	// Plaintext on a strict port.
	refusedBy(in)
	theirs.want(t, 2, `- 0 NR 0 0 - -`)
}

// A log that is switched on is heeded by connections that are there already.
func TestAccessLogOfOldConnections(t *testing.T) {
	ca := NewCA(t)
	l := newLedger(t, "%REQ(:PATH)%\n")
	slot := &accesslog.Slot{}
	at := app(t, func(http.ResponseWriter, *http.Request) {})
	s := New(t, ca, ID("api"), Options{Logs: slot})
	w := New(t, ca, ID("web"), Options{})
	_, out := w.Destination("api:80", config.HTTP, Share{w.Cluster("api", Meshed(s.Before(at), ID("api"))), 1})
	c := dial(t, out.String())
	for i, on := range []bool{false, true, false, true} {
		slot.Set(nil, nil)
		if on {
			slot.Set(l.Log, nil)
		}
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		resp := c.response("GET")
		io.Copy(io.Discard, resp.Body)
	}
	lines := l.lines(t, 2)
	slices.Sort(lines)
	if got := strings.Join(lines, ""); got != "/1\n/3\n" {
		t.Errorf("%q", got)
	}
}
