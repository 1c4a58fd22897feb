package controltest_test

import (
	"slices"
	"testing"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/mesh"
)

const absentService = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.1.1, ports: [{name: http, port: 80}]}
`

const absentRoutes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec:
  hosts: [web]
  http:
  - match: [{uri: {exact: /host}}]
    route: [{destination: {host: gone}}]
  - match: [{uri: {exact: /port}}]
    route: [{destination: {host: web, port: {number: 81}}}]
  - match: [{uri: {exact: /subset}}]
    route: [{destination: {host: web, subset: late}}]
  - match: [{uri: {exact: /split}}]
    route: [{destination: {host: web}, weight: 50}, {destination: {host: web, subset: late}, weight: 50}]
  - route: [{destination: {host: web, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: default}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
`

const absentGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules: [{backendRefs: [{name: gone, port: 80}]}]
`

// TestWhatDoesNotExist: a destination of a VirtualService that does not exist
// is answered 503 with the flag NC, as Istio's users know it, and of a split
// only its share; one that comes to exist is used. A backend of the Gateway API
// is answered 500.
func TestWhatDoesNotExist(t *testing.T) {
	m := controltest.Start(t, map[string]string{"web.yaml": absentService, "routes.yaml": absentRoutes, "v1.yaml": application(t, "web", "v1", "127.0.0.11")})
	const web = "web.default.svc.cluster.local:80"
	c := newClient(t, m, "caller", web)
	m.Eventually("the service answers", func() bool { status, _ := c.get(web, "web", "/"); return status == 200 })
	for _, path := range []string{"/host", "/port", "/subset"} {
		if status, body := c.get(web, "web", path); status != 503 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	count := map[int]int{}
	for range 200 {
		status, body := c.get(web, "web", "/split")
		if status != 503 && body != "v1 web" {
			t.Fatalf("split: %d %s", status, body)
		}
		count[status]++
	}
	if count[200] < 50 || count[503] < 50 {
		t.Errorf("of a split in halves: %v", count)
	}
	m.Eventually("the flag is counted", func() bool {
		return len(c.metrics("istio_requests_total", `response_code="503"`, `response_flags="NC"`)) > 0
	})
	m.Write("late.yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: late, namespace: default}
spec: {host: web, subsets: [{name: late, labels: {app: web}}]}
`)
	m.Eventually("the subset is used", func() bool { status, _ := c.get(web, "web", "/subset"); return status == 200 })
	for range 50 {
		if status, body := c.get(web, "web", "/split"); status != 200 {
			t.Fatalf("split, all of which exists: %d %s", status, body)
		}
	}
	m.Write("gateway.yaml", absentGateway)
	m.Eventually("the Gateway API answers 500", func() bool { status, _ := c.get(web, "web", "/"); return status == 500 })
}

const held = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec: {hosts: [web], http: [{rewrite: {authority: routed}, route: [{destination: {host: web, subset: v1}}]}]}
`

const heldRule = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: default}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
`

// TestObjectsOfOneApply: a VirtualService that comes before its DestinationRule,
// and a DestinationRule that goes before its VirtualService, cost no request.
func TestObjectsOfOneApply(t *testing.T) {
	m := controltest.Start(t, map[string]string{"web.yaml": absentService, "v1.yaml": application(t, "web", "v1", "127.0.0.12")})
	const web = "web.default.svc.cluster.local:80"
	c := newClient(t, m, "caller", web)
	m.Eventually("the service answers", func() bool { status, _ := c.get(web, "web", "/"); return status == 200 })
	told := func(code problem.Code) bool {
		return slices.ContainsFunc(m.Control.Problems(), func(p mesh.Problem) bool { return p.Code == string(code) })
	}
	// until sends one request after another, none of which may fail.
	until := func(what, answer string, held bool) {
		t.Helper()
		m.Eventually(what, func() bool {
			status, body := c.get(web, "web", "/")
			if status != 200 {
				t.Fatalf("%s: %d %s", what, status, body)
			}
			return body == answer && told(problem.ChangeHeld) == held
		})
	}
	m.Write("routes.yaml", held)
	until("the routes are held", "v1 web", true)
	m.Write("rule.yaml", heldRule)
	until("the routes are in effect", "v1 routed", false)

	m.Remove("rule.yaml")
	until("the rule is held", "v1 routed", true)
	m.Remove("routes.yaml")
	until("both are gone", "v1 web", false)

	// Routes to what never comes are in effect in the end.
	m.Write("routes.yaml", held)
	until("the routes are held again", "v1 web", true)
	m.Eventually("the routes are in effect without the subset", func() bool {
		status, _ := c.get(web, "web", "/")
		return status == 503 && told(problem.ReferenceMissing) && !told(problem.ChangeHeld)
	})
}
