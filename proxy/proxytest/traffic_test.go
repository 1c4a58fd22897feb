package proxytest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// ruled is a client's proxy whose requests to one application, behind a proxy of
// its own, fall under one rule.
type ruled struct {
	t      testing.TB
	client *Workload
	server *Workload
	dest   *Destination
	api    *upstream.Cluster
	url    string
}

func newRuled(t testing.TB, h http.HandlerFunc) *ruled {
	t.Helper()
	ca := NewCA(t)
	r := &ruled{t: t, server: New(t, ca, ID("api"), Options{}), client: New(t, ca, ID("web"), Options{})}
	r.api = r.client.Cluster("api", Meshed(r.server.Before(h2app(t, h)), ID("api")))
	var out netip.AddrPort
	r.dest, out = r.client.Destination("api:80", config.HTTP, Share{r.api, 1})
	r.url = "http://" + out.String()
	return r
}

func (r *ruled) rule(tr *route.Traffic) {
	r.t.Helper()
	u, err := route.NewRule(route.RuleSpec{Name: "rule", Origin: "Test default/rule", Traffic: tr, Match: route.MatchSpec{Path: route.Prefix, PathValue: "/"},
		Backends: []route.Backend{{Name: "api", Weight: 1, Cluster: r.api}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.dest.Rules(u)
}

// flagged waits until a request of the flags was counted.
func (r *ruled) flagged(flags string, status int) {
	r.t.Helper()
	want := fmt.Sprintf(`response_code="%d",response_flags="%s"`, status, flags)
	var b bytes.Buffer
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b.Reset()
		if err := r.client.Telemetry.WriteIstio(&b); err != nil {
			r.t.Fatal(err)
		}
		if strings.Contains(b.String(), want) {
			return
		}
	}
	r.t.Errorf("no series with %s in:\n%s", want, b.String())
}

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not in time: " + what)
		}
	}
}

func TestRouteTimeout(t *testing.T) {
	gone := make(chan struct{}, 10)
	var reached atomic.Int64
	slow := func(w http.ResponseWriter, q *http.Request) {
		reached.Add(1)
		io.Copy(io.Discard, q.Body)
		if q.URL.Path == "/begun" {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
		}
		if strings.HasPrefix(q.URL.Path, "/fast") {
			return
		}
		<-q.Context().Done()
		gone <- struct{}{}
	}
	r := newRuled(t, slow)
	r.rule(&route.Traffic{Timeout: 150 * time.Millisecond})
	for _, h2c := range []bool{false, true} {
		c := client(t, h2c)
		begun, before := time.Now(), reached.Load()
		resp, err := c.Get(r.url + "/wait")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if reached.Load() == before {
			t.Skip("this machine is too slow: the time was over before the application was reached")
		}
		if took := time.Since(begun); resp.StatusCode != 504 || took < 150*time.Millisecond || resp.Header.Get("weft-proxy-error") != forward.ReasonTimeout {
			t.Errorf("http2 %v: %d %q after %s", h2c, resp.StatusCode, body, took)
		}
		select {
		case <-gone:
		case <-time.After(10 * time.Second):
			t.Fatal("the application still works for a request that timed out")
		}
		// A response that has begun is cut off.
		if resp, err = c.Get(r.url + "/begun"); err != nil {
			t.Fatal(err)
		}
		if _, err = io.ReadAll(resp.Body); err == nil && resp.StatusCode == 504 {
			t.Skip("this machine is too slow: the time was over before the response began")
		} else if err == nil {
			t.Error("a response that took too long ends well")
		}
		resp.Body.Close()
		<-gone
		// Those in time are not touched, on connections that live on.
		for range 20 {
			if resp, err = c.Get(r.url + "/fast"); err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
			resp.Body.Close()
		}
	}
	r.flagged("UT", 504)
	// The time begins with the end of the request.
	pr, pw := io.Pipe()
	go func() {
		for range 6 {
			time.Sleep(50 * time.Millisecond) // longer in all than the timeout
			pw.Write([]byte("x"))
		}
		pw.Close()
	}()
	if resp, err := http.Post(r.url+"/fast", "", pr); err != nil || resp.StatusCode != 200 {
		t.Errorf("a slow upload: %v %v", resp, err)
	}
}

func client(t testing.TB, h2c bool) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetHTTP1(!h2c)
	tr.Protocols.SetUnencryptedHTTP2(h2c)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func TestTryTimeoutIsFollowedByAnother(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		if n.Add(1)%3 != 0 {
			<-q.Context().Done()
		}
	})
	p := &retry.Policy{On: retry.GatewayError, Retries: 2, Base: time.Millisecond}
	r.rule(&route.Traffic{TryTimeout: 80 * time.Millisecond, Timeout: 10 * time.Second, Retry: p})
	for _, h2c := range []bool{false, true} {
		resp, err := client(t, h2c).Post(r.url, "text/plain", strings.NewReader("body"))
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v %v", resp, err)
		}
	}
	if n.Load() != 6 {
		t.Errorf("%d tries, want 6", n.Load())
	}
	r.rule(&route.Traffic{TryTimeout: 50 * time.Millisecond, Retry: &retry.Policy{On: retry.RefusedStream, Retries: 2}})
	n.Store(0)
	if code, _, _ := get(t, r.url); code != 504 || n.Load() != 1 {
		t.Errorf("a try timeout that nothing says to retry: %d after %d tries", code, n.Load())
	}
}

func TestRetriesOnlyWhatIsListed(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		n.Add(1)
		b, _ := io.ReadAll(q.Body)
		w.Header().Set("x-flavour", q.Header.Get("flavour"))
		if q.URL.Path == "/reset" {
			panic(http.ErrAbortHandler)
		}
		var code int
		fmt.Sscan(q.URL.Path[1:], &code)
		w.WriteHeader(code)
		w.Write(b)
	})
	header, err := route.NewHeaderCondition(route.ValueMatch{Name: "x-flavour", Value: "sour"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		on     retry.On
		method string
		path   string
		sour   bool
		tries  int64
	}{
		{retry.ServerError, "POST", "/503", false, 3},
		{retry.ServerError, "GET", "/404", false, 1},
		{retry.GatewayError, "GET", "/500", false, 1},
		{retry.GatewayError, "GET", "/502", false, 3},
		{retry.Retriable4xx, "GET", "/409", false, 3},
		{retry.StatusCodes, "GET", "/418", false, 3},
		{retry.StatusCodes, "GET", "/503", false, 1},
		{retry.Headers, "GET", "/200", true, 3},
		{retry.Headers, "GET", "/200", false, 1},
		{retry.ConnectFailure, "POST", "/reset", false, 1},
		{retry.Reset, "POST", "/reset", false, 3},
		{0, "GET", "/503", false, 1},
	} {
		r.rule(&route.Traffic{Retry: &retry.Policy{On: c.on, Retries: 2, Base: time.Millisecond, Statuses: []uint32{418}, Headers: []retry.Condition{header}}})
		for _, h2c := range []bool{false, true} {
			n.Store(0)
			q, _ := http.NewRequest(c.method, r.url+c.path, strings.NewReader(strings.Repeat("b", 3000)))
			if c.sour {
				q.Header.Set("flavour", "sour")
			}
			resp, err := client(t, h2c).Do(q)
			if err != nil {
				t.Fatalf("%s %s: %v", c.on, c.path, err)
			}
			body, err := io.ReadAll(resp.Body)
			if n.Load() != c.tries || err != nil || c.path != "/reset" && len(body) != 3000 {
				t.Errorf("%q on %s (http2 %v): %d tries, want %d; %d with %d bytes, %v", c.on, c.path, h2c, n.Load(), c.tries, resp.StatusCode, len(body), err)
			}
		}
	}
	r.flagged("URX", 503)
	// What is too long to be held is sent once.
	r.rule(&route.Traffic{MaxHeld: 1000, Retry: &retry.Policy{On: retry.ServerError, Retries: 2}})
	for _, h2c := range []bool{false, true} {
		n.Store(0)
		resp, err := client(t, h2c).Post(r.url+"/503", "", strings.NewReader(strings.Repeat("b", 200_000)))
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); n.Load() != 1 || len(body) != 200_000 {
			t.Errorf("a long body (http2 %v): %d tries, %d bytes back", h2c, n.Load(), len(body))
		}
	}
}

func TestRetriesAvoidWhoWasTried(t *testing.T) {
	var bad, good atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { bad.Add(1); w.WriteHeader(503) })
	second := r.server.Before(h2app(t, func(w http.ResponseWriter, q *http.Request) { good.Add(1) }))
	eps := r.api.Endpoints()
	r.client.Registry.SetEndpoints("api", []upstream.EndpointSpec{*eps[0].Spec(), Meshed(second, ID("api"))})
	r.rule(&route.Traffic{Retry: &retry.Policy{On: retry.ServerError, Retries: 1, Base: time.Millisecond, AvoidPrevious: true}})
	for range 40 {
		if code, _, _ := get(t, r.url); code != 200 {
			t.Fatalf("%d with a good endpoint left", code)
		}
	}
	if good.Load() != 40 {
		t.Errorf("the good one saw %d requests", good.Load())
	}
}

func TestRetryBudgetIsShared(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { n.Add(1); w.WriteHeader(500) })
	b := retry.NewBudget(0, 1, 10*time.Second, time.Now()) // ten retries in all, at first
	for i := range 2 {
		r.rule(&route.Traffic{Budget: b, Retry: &retry.Policy{On: retry.ServerError, Retries: 1, Base: time.Millisecond}})
		for range 20 {
			if code, _, _ := get(t, r.url); code != 500 {
				t.Fatalf("round %d: %d", i, code)
			}
		}
	}
	if n.Load() != 50 {
		t.Errorf("%d tries of 40 requests with a budget of 10 retries", n.Load())
	}
	r.flagged("URX", 500)
}

func TestFaults(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { n.Add(1) })
	r.rule(&route.Traffic{Abort: &route.Abort{Status: 418, Share: 300_000}, Retry: &retry.Policy{On: retry.Retriable4xx, Retries: 3}})
	aborted := 0
	const all = 2000
	for range all {
		switch code, _, _ := get(t, r.url); code {
		case 418:
			aborted++
		case 200:
		default:
			t.Fatal(code)
		}
	}
	// Six standard deviations of 30 % of 2000 are 123.
	if aborted < 600-123 || aborted > 600+123 || int(n.Load()) != all-aborted {
		t.Errorf("%d of %d aborted, %d arrived", aborted, all, n.Load())
	}
	r.flagged("FI", 418)
	// The timeout does not count an injected delay.
	r.rule(&route.Traffic{Delay: &route.Delay{For: 200 * time.Millisecond, Share: route.Million}, Timeout: 100 * time.Millisecond})
	for _, h2c := range []bool{false, true} {
		begun := time.Now()
		resp, err := client(t, h2c).Get(r.url)
		if err != nil || resp.StatusCode != 200 || time.Since(begun) < 200*time.Millisecond {
			t.Errorf("delayed: %v %v after %s", resp, err, time.Since(begun))
		}
	}
	r.flagged("DI", 200)
	r.rule(&route.Traffic{Delay: &route.Delay{For: 50 * time.Millisecond, Share: route.Million}, Abort: &route.Abort{GRPC: 14, Share: route.Million}})
	q, _ := http.NewRequest("POST", r.url+"/a.B/C", strings.NewReader("\x00\x00\x00\x00\x00"))
	q.Header.Set("content-type", "application/grpc")
	begun := time.Now()
	resp, err := client(t, true).Do(q)
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("grpc-status") != "14" || time.Since(begun) < 50*time.Millisecond {
		t.Errorf("gRPC: %+v %v", resp, err)
	}
	if code, _, _ := get(t, r.url); code != 503 {
		t.Errorf("a gRPC status for who speaks none: %d", code)
	}
	r.flagged("DI,FI", 503)
}

func TestMirror(t *testing.T) {
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { b, _ := io.ReadAll(q.Body); w.Write(b) })
	var mu sync.Mutex
	seen := map[string]int{}
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	copyApp := h2app(t, func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		mu.Lock()
		seen[fmt.Sprint(q.ProtoMajor, " ", q.Method, " ", q.Host, " ", q.URL, " ", len(b))]++
		mu.Unlock()
		if q.URL.Path == "/hang" {
			<-hang
		}
		w.WriteHeader(500)
	})
	other := r.client.Cluster("copy", Meshed(r.server.Before(copyApp), ID("api")))
	r.rule(&route.Traffic{Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: route.Million, Suffix: true}, {Name: "none", Share: route.Million}}})
	send := func(h2c bool, path string, size int) {
		t.Helper()
		q, _ := http.NewRequest("PUT", r.url+path, bytes.NewReader(make([]byte, size)))
		q.Host = "api.test:80"
		resp, err := client(t, h2c).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || len(b) != size {
			t.Fatalf("the real request: %d, %d of %d bytes, %v", resp.StatusCode, len(b), size, err)
		}
	}
	count := func(what string) int { mu.Lock(); defer mu.Unlock(); return seen[what] }
	send(false, "/a?b=c", 0)
	send(false, "/held", 1000)
	send(false, "/streamed", 300_000)
	send(true, "/two", 1000)
	send(true, "/two", 200_000)
	for _, what := range []string{"1 PUT api.test-shadow:80 /a?b=c 0", "1 PUT api.test-shadow:80 /held 1000", "1 PUT api.test-shadow:80 /streamed 300000",
		"2 PUT api.test-shadow:80 /two 1000", "2 PUT api.test-shadow:80 /two 200000"} {
		wait(t, what, func() bool { return count(what) == 1 })
	}
	// Copies that hang do not slow the real requests, and are bounded.
	begun := time.Now()
	for range 200 {
		send(false, "/hang", 10)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("200 requests took %s", took)
	}
	sent, skipped, _ := r.client.Activity.Mirrored()
	send(false, "/big", 1<<21)
	if _, more, _ := r.client.Activity.Mirrored(); more <= skipped || sent == 0 || count("1 PUT api.test-shadow:80 /big 2097152") != 0 {
		t.Errorf("%d skipped before a long body, %d after", skipped, more)
	}
	release()
	wait(t, "the drain", func() bool { return r.client.Activity.Carried() == 0 })
}

func TestMirrorOfAShare(t *testing.T) {
	r := newRuled(t, ok)
	at, n := counted(t, ok)
	other := r.client.Cluster("copy", Plain(at))
	r.rule(&route.Traffic{Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: 250_000}}})
	const all = 1000
	for range all {
		get(t, r.url)
	}
	sent, skipped, _ := r.client.Activity.Mirrored()
	if total := sent + skipped; total < 250-90 || total > 250+90 {
		t.Errorf("%d of %d mirrored", total, all)
	}
	wait(t, "the copies", func() bool { return uint64(n.Load()) == sent })
}

func TestRedirectsAndRewrites(t *testing.T) {
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.Host, " ", q.RequestURI) })
	c := client(t, false)
	r.rule(&route.Traffic{Redirect: &filter.Redirect{Status: 308, Scheme: "https", Host: "new.test", Path: filter.Path{Full: "/x"}}})
	for _, h2c := range []bool{false, true} {
		resp, err := client(t, h2c).Post(r.url+"/a?b=c", "", strings.NewReader("body"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		port := r.url[strings.LastIndexByte(r.url, ':'):]
		if resp.StatusCode != 308 || resp.Header.Get("location") != "https://new.test"+port+"/x?b=c" || len(b) != 0 || resp.Header.Get("weft-proxy-error") != "" {
			t.Errorf("%d %v %q", resp.StatusCode, resp.Header, b)
		}
	}
	r.rule(&route.Traffic{Direct: &route.Direct{Status: 299, Body: []byte("direct")}})
	if code, body, _ := get(t, r.url); code != 299 || body != "direct" {
		t.Errorf("direct response: %d %q", code, body)
	}
	r.rule(&route.Traffic{Rewrite: &filter.Rewrite{Host: "inner.test", Path: filter.Path{HasPrefix: true, Prefix: "/v2/", Matched: 1}}})
	resp, err := c.Get(r.url + "/a/b?c=d")
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(resp.Body); string(b) != "inner.test /v2/a/b?c=d" {
		t.Errorf("rewritten: %q", b)
	}
}

func TestCORS(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		n.Add(1)
		w.Header().Set("access-control-allow-origin", "*")
	})
	r.rule(&route.Traffic{CORS: &filter.CORS{Origins: func(o []byte) bool { return string(o) == "https://page.test" }, Methods: "GET", Headers: "x-a", MaxAge: "60", Credentials: true}})
	ask := func(method, origin string) *http.Response {
		t.Helper()
		q, _ := http.NewRequestWithContext(context.Background(), method, r.url, nil)
		q.Header.Set("Origin", origin)
		if method == "OPTIONS" {
			q.Header.Set("Access-Control-Request-Method", "GET")
		}
		resp, err := client(t, false).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	p := ask("OPTIONS", "https://page.test")
	if p.StatusCode != 200 || p.Header.Get("access-control-allow-origin") != "https://page.test" || p.Header.Get("access-control-allow-methods") != "GET" || p.Header.Get("access-control-max-age") != "60" || n.Load() != 0 {
		t.Errorf("preflight: %d %v", p.StatusCode, p.Header)
	}
	if p = ask("OPTIONS", "https://evil.test"); p.Header.Get("access-control-allow-origin") != "" || n.Load() != 0 {
		t.Errorf("a stranger's preflight: %d %v", p.StatusCode, p.Header)
	}
	if p = ask("GET", "https://page.test"); !slices.Equal(p.Header.Values("access-control-allow-origin"), []string{"https://page.test"}) || p.Header.Get("access-control-allow-credentials") != "true" || n.Load() != 1 {
		t.Errorf("response: %v", p.Header)
	}
	if p = ask("GET", "https://evil.test"); p.Header.Get("access-control-allow-credentials") != "" || n.Load() != 2 {
		t.Errorf("a stranger's response: %v", p.Header)
	}
}

// The cookie that the proxy gives a client brings it back to one endpoint.
func TestSessionCookie(t *testing.T) {
	ca := NewCA(t)
	s, w := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
	var eps []upstream.EndpointSpec
	for i := range 5 {
		eps = append(eps, Meshed(s.Before(app(t, func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, i) })), ID("api")))
	}
	api := w.Registry.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, Balance: balance.Options{Algorithm: balance.RingHash}})
	w.Registry.SetEndpoints("api", eps)
	d, out := w.Destination("api:80", config.HTTP, Share{api, 1})
	(&ruled{t: t, client: w, dest: d, api: api}).rule(&route.Traffic{Hash: []route.HashPolicy{{Kind: route.HashCookie, Name: "sess", Generate: true, TTL: time.Hour, Path: "/"}}})
	seen := map[string]bool{}
	for range 30 {
		resp, err := client(t, false).Get("http://" + out.String())
		if err != nil {
			t.Fatal(err)
		}
		first, _ := io.ReadAll(resp.Body)
		seen[string(first)] = true
		cookies := resp.Cookies()
		if len(cookies) != 1 || cookies[0].MaxAge != 3600 || cookies[0].Path != "/" || !cookies[0].HttpOnly {
			t.Fatalf("cookies %v", cookies)
		}
		for range 5 {
			q, _ := http.NewRequest("GET", "http://"+out.String(), nil)
			q.AddCookie(&http.Cookie{Name: "sess", Value: cookies[0].Value})
			resp, err := client(t, false).Do(q)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(resp.Body); string(b) != string(first) || len(resp.Cookies()) != 0 {
				t.Fatalf("first at %s, then at %s; cookies %v", first, b, resp.Cookies())
			}
		}
	}
	if len(seen) < 3 {
		t.Errorf("30 clients on %d of 5 endpoints", len(seen))
	}
}

func TestShedding(t *testing.T) {
	r := newRuled(t, ok)
	c := client(t, false)
	if resp, err := c.Get(r.url); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	} else {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	r.client.Activity.SetLevel(forward.Critical)
	resp, err := c.Get(r.url) // on the connection that is there
	if err != nil || resp.StatusCode != 503 || resp.Header.Get("weft-proxy-error") != forward.ReasonOverload {
		t.Fatalf("%+v %v", resp, err)
	}
	if _, err := client(t, false).Get(r.url); err == nil {
		t.Error("a new connection is served")
	}
	if cs, rs := r.client.Activity.Shed(); cs == 0 || rs != 1 {
		t.Errorf("%d connections and %d requests were counted", cs, rs)
	}
	r.client.Activity.SetLevel(forward.Relaxed)
	r.server.Activity.SetLevel(forward.Critical)
	if code, _, _ := get(t, r.url); code != 503 {
		t.Errorf("the only endpoint sheds, and the answer is %d", code)
	}
	r.server.Activity.SetLevel(forward.Relaxed)
	wait(t, "recovery", func() bool { code, _, _ := get(t, r.url); return code == 200 })
}
