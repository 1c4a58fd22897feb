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

func client(t testing.TB, h2c bool) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetHTTP1(!h2c)
	tr.Protocols.SetUnencryptedHTTP2(h2c)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
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
	// Seven standard deviations of 30 % of 2000 are 144.
	if aborted < 600-144 || aborted > 600+144 || int(n.Load()) != all-aborted {
		t.Errorf("%d of %d aborted, %d arrived", aborted, all, n.Load())
	}
	r.flagged("FI", 418)
	// The timeout does not count an injected delay.
	for _, h2c := range []bool{false, true} {
		inTime(t, "a delayed request", func(limit time.Duration) bool {
			r.rule(&route.Traffic{Delay: &route.Delay{For: 2 * limit, Share: route.Million}, Timeout: limit})
			begun := time.Now()
			resp, err := client(t, h2c).Get(r.url)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if took := time.Since(begun); resp.StatusCode != 200 && resp.StatusCode != 504 || took < 2*limit {
				t.Errorf("delayed: %s after %s", resp.Status, took)
			}
			return resp.StatusCode == 200
		})
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
	api := w.Registry.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, ConnectTimeout: patient, Balance: balance.Options{Algorithm: balance.RingHash}})
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
