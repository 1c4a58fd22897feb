//go:build e2e

package gateway_test

import (
	"fmt"
	"math"
	"testing"
)

// both versions answer, in whatever parts.
var both = map[string]float64{"v1": anything, "v2": anything}

const anything = -1

// connections waits until connections are answered by these versions alone, in
// these parts, or by nobody where there is none.
func (b *bed) connections(want map[string]float64, args ...string) {
	b.Helper()
	n := "40"
	if len(want) > 1 {
		n = "600"
	}
	b.Eventually(limit, func() error {
		r, err := b.client.Load(b.Context(), append([]string{"-rate", "200", "-n", n, "-timeout", "5s"}, args...)...)
		if err != nil {
			return err
		}
		if len(want) == 0 {
			if r.OK > 0 || r.FailedMax > 2000 {
				return fmt.Errorf("%v: %d of %d connections were not closed at once: by %v within %.0f ms", args, r.OK, r.Sent, r.Versions, r.FailedMax)
			}
			return nil
		}
		if err := r.Problem(); err != nil {
			return fmt.Errorf("%v: %w", args, err)
		}
		for version := range r.Versions {
			if _, ok := want[version]; !ok {
				return fmt.Errorf("%v: answered by %v", args, r.Versions)
			}
		}
		for version, part := range want {
			got := r.Share(version)
			if part == anything && got > 0 {
				continue
			}
			if math.Abs(got-part) > 0.06 || part == 1 && got != 1 {
				return fmt.Errorf("%v: the share of %s is %.2f, not %.2f", args, version, got, part)
			}
		}
		return nil
	})
}

// TLS goes by the name that a client asks for, to an end that the mesh is not:
// the test's server shows a certificate of its own.
func TestTLSRoutesGoByName(t *testing.T) {
	t.Parallel()
	b := newBed(t, "names")
	b.connections(both, "-proto", "tls", "-target", "api:443", "-sni", "any.example") // without a route
	b.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: first, namespace: names}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 443}]
  hostnames: [one.example, uno.example]
  rules: [{backendRefs: [{name: v1, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: second, namespace: names}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 443}]
  hostnames: ["*.two.example"]
  rules: [{backendRefs: [{name: v1, port: 443, weight: 1}, {name: v2, port: 443, weight: 3}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: third, namespace: names}
spec:
  parentRefs: [{group: "", kind: Service, name: api, sectionName: tls}, {group: "", kind: Service, name: api, sectionName: http}]
  hostnames: [three.example, exact.two.example]
  rules: [{backendRefs: [{name: gone, port: 443}]}]
`)
	b.accepted("tlsroute", "first", "api Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs")
	b.accepted("tlsroute", "second", "api Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs")
	b.accepted("tlsroute", "third", "api Accepted=True/Accepted ResolvedRefs=False/BackendNotFound; api Accepted=False/NoMatchingParent ResolvedRefs=False/BackendNotFound")
	for name, want := range map[string]map[string]float64{
		"one.example": {"v1": 1}, "uno.example": {"v1": 1}, "a.two.example": {"v1": 0.25, "v2": 0.75},
		// No backend, no route of that name, a name that is not below the wildcard, no name.
		"exact.two.example": nil, "three.example": nil, "other.example": nil, "two.example": nil, "": nil,
	} {
		b.connections(want, "-proto", "tls", "-target", "api:443", "-sni", name)
	}
	// Other ports of the Service are as they were.
	b.connections(both, "-proto", "server-first", "-target", "api:9001")
	b.Kube("-n", b.ns, "delete", "tlsroute", "--all")
	b.connections(both, "-proto", "tls", "-target", "api:443", "-sni", "one.example")
}

// Connections are split by weight, and closed where nobody is left to take
// them, also on a port whose server speaks first.
func TestTCPRoutesSplitConnections(t *testing.T) {
	t.Parallel()
	b := newBed(t, "flows")
	route := func(refs string) {
		b.Apply(`
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: flows, namespace: flows}
spec:
  parentRefs: [{group: "", kind: Service, name: api, port: 9001}]
  rules: [{backendRefs: [` + refs + `]}]
`)
	}
	first := []string{"-proto", "server-first", "-target", "api:9001"}
	fine, broken := "api Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs", "api Accepted=True/Accepted ResolvedRefs=False/BackendNotFound"
	for _, c := range []struct {
		refs, status string
		want         map[string]float64
	}{
		{"{name: v1, port: 9001, weight: 1}, {name: v2, port: 9001, weight: 4}", fine, map[string]float64{"v1": 0.2, "v2": 0.8}},
		{"{name: v1, port: 9001}, {name: v2, port: 9001, weight: 0}", fine, map[string]float64{"v1": 1}},
		{"{name: gone, port: 9001}", broken, nil},
		{"{name: v2, port: 9001}", fine, map[string]float64{"v2": 1}},
		{"{name: v2, port: 7}", broken, nil},
		{"{name: v1, port: 9001, weight: 0}", fine, nil},
	} {
		route(c.refs)
		b.accepted("tcproute", "flows", c.status)
		b.connections(c.want, first...)
	}
	b.Kube("-n", b.ns, "delete", "tcproute", "flows")
	b.connections(both, first...)
}
