//go:build e2e

package gateway_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/traffic"
)

func TestMethodsAndTimeouts(t *testing.T) {
	t.Parallel()
	b := newBed(t, "timeouts")
	b.route("timeouts", `
    - {matches: [{method: POST}], backendRefs: [{name: v2, port: 80}]}
    - {matches: [{path: {type: PathPrefix, value: /delay}}], timeouts: {request: 500ms}, backendRefs: [{name: v1, port: 80}]}
    - {matches: [{path: {type: Exact, value: /delay/700}}], timeouts: {request: 0s}, backendRefs: [{name: v1, port: 80}]}
    - {matches: [{path: {type: Exact, value: /delay/3000}}], timeouts: {request: 5s, backendRequest: 300ms}, backendRefs: [{name: v1, port: 80}]}
    - {matches: [{method: GET}], backendRefs: [{name: v1, port: 80}]}`)
	version := func(want string) func(*http.Response, answer) error {
		return func(r *http.Response, a answer) error {
			if r.StatusCode != 200 || a.Version != want {
				return fmt.Errorf("%d from %q, not from %s", r.StatusCode, a.Version, want)
			}
			return nil
		}
	}
	b.get(request("POST", "/", "api", "Content-Length: 0"), version("v2"))
	b.get(request("GET", "/", "api"), version("v1"))
	b.get(request("DELETE", "/", "api"), func(r *http.Response, _ answer) error { return status(r, 404) })
	b.get(request("GET", "/delay/100", "api"), version("v1"))
	b.get(request("GET", "/delay/700", "api"), version("v1"))
	for _, target := range []string{"/delay/2000", "/delay/3000"} {
		r, err := b.client.Load(b.Context(), "-target", "http://api"+target, "-n", "1")
		if err != nil || r.Codes["504"] != 1 || r.Max > 1900 {
			t.Errorf("%s: %v after %.0f ms: %v", target, r.Codes, r.Max, err)
		}
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	b := newBed(t, "cors")
	b.route("cors", `
    - filters: [{type: CORS, cors: {allowOrigins: ["https://*.shop.example", "http://a.example"], allowMethods: [GET, PUT], allowHeaders: [x-a, x-b], exposeHeaders: [x-c], allowCredentials: true, maxAge: 60}}]
      backendRefs: [{name: v1, port: 80}]`)
	preflight := func(origin string) string {
		return request("OPTIONS", "/", "api", "Origin: "+origin, "Access-Control-Request-Method: PUT")
	}
	b.get(preflight("https://x.y.shop.example"), func(r *http.Response, a answer) error {
		h := r.Header
		if r.StatusCode/100 != 2 || a.Version != "" || h.Get("Access-Control-Allow-Origin") != "https://x.y.shop.example" || h.Get("Access-Control-Allow-Credentials") != "true" ||
			strings.ReplaceAll(h.Get("Access-Control-Allow-Methods"), " ", "") != "GET,PUT" || strings.ReplaceAll(h.Get("Access-Control-Allow-Headers"), " ", "") != "x-a,x-b" || h.Get("Access-Control-Max-Age") != "60" {
			return fmt.Errorf("preflight: %d %v from %q", r.StatusCode, h, a.Version)
		}
		return nil
	})
	for _, origin := range []string{"https://shop.example.evil.example", "https://a.example", "http://x.shop.example"} {
		b.get(preflight(origin), func(r *http.Response, a answer) error {
			if r.Header.Get("Access-Control-Allow-Origin") != "" || a.Version != "" {
				return fmt.Errorf("preflight of %s: %d %v", origin, r.StatusCode, r.Header)
			}
			return nil
		})
	}
	b.get(request("GET", "/", "api", "Origin: http://a.example"), func(r *http.Response, a answer) error {
		if a.Version != "v1" || r.Header.Get("Access-Control-Allow-Origin") != "http://a.example" || r.Header.Get("Access-Control-Expose-Headers") != "x-c" {
			return fmt.Errorf("simple request: %d %v from %q", r.StatusCode, r.Header, a.Version)
		}
		return nil
	})
}

func TestRetriesAreMadeOfTheCodesThatAreNamed(t *testing.T) {
	t.Parallel()
	b := newBed(t, "retries")
	b.route("retries", `
    - {retry: {codes: [503], attempts: 2, backoff: 200ms}, backendRefs: [{name: v1, port: 80}]}`)
	apps, _, err := traffic.Apps(b.Context(), b.Cluster, b.ns, "version=v1", "app")
	if err != nil || len(apps) != 1 {
		t.Fatal(apps, err)
	}
	// Two retries are made, each after a pause of at least 200 ms.
	tried := func(status string, times int, least float64) error {
		mark := fmt.Sprintf("%s-%d", status, time.Now().UnixNano())
		r, err := b.client.Load(b.Context(), "-target", "http://api/api/v1/users", "-n", "1", "-header", "x-status="+status, "-header", "x-mark="+mark)
		if err != nil {
			return err
		}
		seen, err := apps[0].Seen(b.Context(), mark)
		if err == nil && (seen != times || r.Max < least || r.Codes[status] != 1) {
			err = fmt.Errorf("a request answered with %s was seen %d times, not %d, and took %.0f ms: %v %s", status, seen, times, r.Max, r.Codes, r.Why())
		}
		return err
	}
	b.Eventually(limit, func() error { return tried("503", 3, 400) })
	for _, status := range []string{"500", "502", "404"} {
		if err := tried(status, 1, 0); err != nil {
			t.Error(err)
		}
	}
}

func TestMirrorsGetTheirShare(t *testing.T) {
	t.Parallel()
	b := newBed(t, "mirrors")
	b.route("mirrors", `
    - filters: [{type: RequestMirror, requestMirror: {backendRef: {name: v2, port: 80}, percent: 30}}]
      backendRefs: [{name: v1, port: 80}]`)
	count := func() float64 {
		t.Helper()
		n, err := requests(b, "version=v2")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const n = 1000
	b.Eventually(60*time.Second, func() error {
		before := count()
		r, err := b.client.Load(b.Context(), "-target", "http://api/", "-rate", "400", "-n", fmt.Sprint(n))
		if err != nil {
			return err
		}
		if r.Share("v1") != 1 {
			return fmt.Errorf("answers came from %v", r.Backends)
		}
		if share := (count() - before) / n; math.Abs(share-0.30) > 0.06 {
			return fmt.Errorf("%.2f of the requests were copied", share)
		}
		return nil
	})
}

// condition is one of a route's status.
type condition struct {
	Type, Status, Reason, Message string
	ObservedGeneration            int64
}

func TestStatusSaysWhatTheAPIWants(t *testing.T) {
	t.Parallel()
	b := newBed(t, "statuses")
	b.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: mixed, namespace: statuses}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 80}, {group: "", kind: Service, name: nowhere}, {name: some-gateway}]
  rules:
    - {matches: [{path: {value: /ok}}], backendRefs: [{name: v1, port: 80}, {name: gone, port: 80}]}
    - {matches: [{path: {value: /bad}}], filters: [{type: ExtensionRef, extensionRef: {group: x.example, kind: F, name: f}}], backendRefs: [{name: v1, port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: statuses}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 9090}]
  rules: [{backendRefs: [{name: v1, port: 9090}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: bytes, namespace: statuses}
spec:
  parentRefs: [{group: "", kind: Service, name: api, sectionName: tcp}, {group: "", kind: Service, name: api, sectionName: grpc}]
  rules: [{backendRefs: [{name: v1, port: 9000}]}]
`)
	for _, c := range []struct{ kind, name, want string }{
		{"httproute", "mixed", "api Accepted=True/Accepted ResolvedRefs=False/BackendNotFound PartiallyInvalid=True/UnsupportedValue; " +
			"nowhere Accepted=False/NoMatchingParent ResolvedRefs=False/BackendNotFound"},
		{"grpcroute", "calls", "api Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs"},
		{"tcproute", "bytes", "api Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs; api Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs"},
	} {
		b.accepted(c.kind, c.name, c.want)
	}
	b.get(request("GET", "/bad", "api"), func(r *http.Response, _ answer) error { return status(r, 500) })
	// A new generation is observed.
	b.Kube("-n", b.ns, "patch", "httproute", "mixed", "--type=json", `-p=[{"op":"remove","path":"/spec/rules/1"},{"op":"remove","path":"/spec/rules/0/backendRefs/1"},{"op":"remove","path":"/spec/parentRefs/1"}]`)
	b.accepted("httproute", "mixed", "api Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs")
}

// accepted waits until the status of a route is as wanted.
func (b *bed) accepted(kind, name, want string) {
	b.Helper()
	b.Eventually(limit, func() error {
		got, err := conditions(b, kind, name)
		if err == nil && got != want {
			err = fmt.Errorf("%s %s:\n%s, not\n%s", kind, name, got, want)
		}
		return err
	})
}

// conditions describes the entries of our controller, all of the newest
// generation; any other entry is a fault.
func conditions(b *bed, kind, name string) (string, error) {
	out, err := b.Kubectl(b.Context(), "-n", b.ns, "get", kind, name, "-o", "json")
	if err != nil {
		return "", err
	}
	var o struct {
		Metadata struct{ Generation int64 }
		Status   struct {
			Parents []struct {
				ParentRef      struct{ Name string }
				ControllerName string
				Conditions     []condition
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		return "", err
	}
	var parts []string
	for _, p := range o.Status.Parents {
		if p.ControllerName != "weft.mesh/control" {
			return "", fmt.Errorf("an entry of %q", p.ControllerName)
		}
		s := p.ParentRef.Name
		for _, c := range p.Conditions {
			if c.ObservedGeneration != o.Metadata.Generation {
				return "", fmt.Errorf("%s is of generation %d, the object of %d", c.Type, c.ObservedGeneration, o.Metadata.Generation)
			}
			s += " " + c.Type + "=" + c.Status + "/" + c.Reason
			if c.Type == "PartiallyInvalid" && !strings.HasPrefix(c.Message, "Dropped Rule") {
				return "", fmt.Errorf("the message of PartiallyInvalid is %q", c.Message)
			}
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; "), nil
}

// requests is how many the proxies of some pods have let in.
func requests(b *bed, selector string) (float64, error) {
	pods, err := traffic.Pods(b.Context(), b.Cluster, b.ns, selector)
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for _, p := range pods {
		n, err := traffic.Counter(b.Context(), b.Cluster, p, "request_total", map[string]string{"direction": "inbound"})
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
