//go:build e2e

// Package gateway_test holds the mesh to what the Gateway API says of routes on
// Services where its own suite for meshes does not look: where a redirect leads,
// what a rewritten request looks like to the application, mirrors, CORS,
// timeouts, retries, WebSockets, connections, and the status of routes; and to
// what Istio's rules say of retries and ejection on the same beds.
package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/e2e/cluster"
	"github.com/weftmesh/weft/e2e/cluster/clustertest"
	"github.com/weftmesh/weft/e2e/meshtest"
	"github.com/weftmesh/weft/e2e/traffic"
)

// shared is the cluster of this package; the mesh is installed on it.
var shared *cluster.Cluster

func TestMain(m *testing.M) { os.Exit(clustertest.Main(m, &shared, prepare)) }

// prepare also installs the experimental channel's HTTPRoute, for it has retries.
// It does so before the mesh is there: for a while after a CRD was changed, the
// API server goes on to show those who watch its objects the fields of the old one.
func prepare(ctx context.Context, c *cluster.Cluster) error {
	if err := meshtest.Load(ctx, c); err != nil {
		return err
	}
	if err := meshtest.InstallCRDs(ctx, c); err != nil {
		return err
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	list.Dir = c.Source
	out, err := list.Output()
	if err != nil {
		return err
	}
	crd := filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "experimental", "gateway.networking.k8s.io_httproutes.yaml")
	if _, err := c.Kubectl(ctx, "delete", "validatingadmissionpolicybinding", "safe-upgrades.gateway.networking.k8s.io", "--ignore-not-found"); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", crd); err != nil {
		return err
	}
	return meshtest.InstallControl(ctx, c)
}

const limit = 20 * time.Second

// bed is a namespace with the Services api, v1 and v2 and a client.
type bed struct {
	*clustertest.T
	ns     string
	client traffic.Client
}

func newBed(t *testing.T, ns string) *bed {
	t.Helper()
	c := clustertest.On(t, shared)
	client := meshtest.Meshed(c, ns, meshtest.App{Name: "v1", Namespace: ns, Version: "v1", Service: "api"}.YAML(), meshtest.App{Name: "v2", Namespace: ns, Version: "v2", Service: "api"}.YAML(),
		meshtest.Service("v1", ns, "app: api, version: v1"), meshtest.Service("v2", ns, "app: api, version: v2"))
	return &bed{T: c, ns: ns, client: client}
}

// route applies an HTTPRoute on the Service api with these rules, as JSON or
// YAML flow, and waits until it is accepted in this form.
func (b *bed) route(name, rules string) {
	b.Helper()
	b.Apply(fmt.Sprintf("apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: %s, namespace: %s}\nspec:\n  parentRefs: [{group: \"\", kind: Service, name: api, port: 80}]\n  rules: %s\n", name, b.ns, rules))
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := b.Kubectl(ctx, "-n", b.ns, "delete", "httproute", name, "--ignore-not-found"); err != nil {
			b.Error(err)
		}
	})
}

// answer is what the application says of a request that it got.
type answer struct {
	Version, Method, Path, Host string
	Headers                     map[string][]string
	Body                        string
}

// exchange sends one request as it is written and reads the response as it came.
func (b *bed) exchange(host, port, request string) (*http.Response, answer, error) {
	var a answer
	out, err := b.KubectlIn(b.Context(), strings.NewReader(request), "-n", b.ns, "exec", "-i", "pod/client", "-c", "client", "--", "/bin/busybox", "nc", "-w", "10", host, port)
	if err != nil && out == "" {
		return nil, a, err
	}
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(strings.NewReader(out)), &http.Request{Method: method})
	if err != nil {
		return nil, a, fmt.Errorf("%w: %q", err, out)
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	if err != nil {
		return nil, a, err
	}
	if strings.HasPrefix(r.Header.Get("content-type"), "application/json") {
		err = json.Unmarshal(body, &a)
	}
	return r, a, err
}

// request makes a request that ends its connection.
func request(method, target, host string, fields ...string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + strings.Join(append(fields, "\r\n"), "\r\n")
}

// get asks the Service api until the answer is as wanted.
func (b *bed) get(req string, ok func(*http.Response, answer) error) {
	b.Helper()
	b.Eventually(limit, func() error {
		r, a, err := b.exchange("api", "80", req)
		if err == nil {
			err = ok(r, a)
		}
		return err
	})
}

func status(r *http.Response, want int) error {
	if r.StatusCode != want {
		return fmt.Errorf("status %d, not %d", r.StatusCode, want)
	}
	return nil
}

func TestRedirectsLeadWhereTheySay(t *testing.T) {
	t.Parallel()
	b := newBed(t, "redirects")
	redirect := func(path, fields string) string {
		return `{matches: [{path: {type: PathPrefix, value: ` + path + `}}], filters: [{type: RequestRedirect, requestRedirect: {` + fields + `}}]}`
	}
	b.route("redirects", "["+strings.Join([]string{
		redirect("/host", `hostname: other.example`), redirect("/scheme", `scheme: https`), redirect("/both", `scheme: https, port: 8443`),
		redirect("/port", `port: 8083`), redirect("/prefix", `path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}, statusCode: 301`),
		redirect("/strip", `path: {type: ReplacePrefixMatch, replacePrefixMatch: /}`), redirect("/full", `hostname: other.example, path: {type: ReplaceFullPath, replaceFullPath: /whole}, statusCode: 308`),
		redirect("/three", `statusCode: 303`), redirect("/seven", `statusCode: 307`),
	}, ", ")+"]")
	for _, c := range []struct {
		target, location string
		status           int
	}{
		{"/host/a?q=1", "http://other.example/host/a?q=1", 302}, {"/scheme", "https://api/scheme", 302}, {"/both", "https://api:8443/both", 302},
		{"/port/x", "http://api:8083/port/x", 302}, {"/prefix/x?y=z", "http://api/new/x?y=z", 301}, {"/prefix", "http://api/new", 301}, {"/prefix/", "http://api/new/", 301},
		{"/strip/x", "http://api/x", 302}, {"/strip", "http://api/", 302}, {"/full/a/b", "http://other.example/whole", 308},
		{"/three", "http://api/three", 303}, {"/seven", "http://api/seven", 307},
	} {
		b.get(request("GET", c.target, "api"), func(r *http.Response, _ answer) error {
			if got := r.Header.Get("location"); got != c.location || r.StatusCode != c.status {
				return fmt.Errorf("%s: %d to %q, not %d to %q", c.target, r.StatusCode, got, c.status, c.location)
			}
			return nil
		})
	}
	b.get(request("GET", "/nowhere", "api"), func(r *http.Response, _ answer) error { return status(r, 404) })
}

func TestRewritesReachTheApplication(t *testing.T) {
	t.Parallel()
	b := newBed(t, "rewrites")
	rewrite := func(path, fields string) string {
		return `{matches: [{path: {type: PathPrefix, value: ` + path + `}}], filters: [{type: URLRewrite, urlRewrite: {` + fields + `}}], backendRefs: [{name: v1, port: 80}]}`
	}
	b.route("rewrites", "["+strings.Join([]string{
		rewrite("/one", `path: {type: ReplacePrefixMatch, replacePrefixMatch: /two}`), rewrite("/strip", `path: {type: ReplacePrefixMatch, replacePrefixMatch: /}`),
		rewrite("/empty", `path: {type: ReplacePrefixMatch, replacePrefixMatch: ""}`), rewrite("/full", `path: {type: ReplaceFullPath, replaceFullPath: /whole}`),
		rewrite("/host", `hostname: inner.example`), rewrite("/", `path: {type: ReplacePrefixMatch, replacePrefixMatch: /base}`),
	}, ", ")+"]")
	for _, c := range []struct{ target, path, host string }{
		{"/one/x?a=b", "/two/x?a=b", "api"}, {"/one", "/two", "api"}, {"/one/", "/two/", "api"}, {"/strip/x", "/x", "api"}, {"/strip", "/", "api"}, {"/strip/", "/", "api"},
		{"/empty/x", "/x", "api"}, {"/empty", "/", "api"}, {"/full/a/b?c=d", "/whole?c=d", "api"}, {"/host/x", "/host/x", "inner.example"}, {"/rest", "/base/rest", "api"}, {"/onesie", "/base/onesie", "api"},
	} {
		b.get(request("GET", c.target, "api"), func(_ *http.Response, a answer) error {
			if a.Path != c.path || a.Host != c.host || a.Version != "v1" {
				return fmt.Errorf("%s became %q of %q at %q, not %q of %q", c.target, a.Path, a.Host, a.Version, c.path, c.host)
			}
			return nil
		})
	}
}
