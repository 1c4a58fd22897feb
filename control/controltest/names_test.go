package controltest_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weftmesh/weft/control/controltest"
)

// TestHostsInCapitalLetters: names of DNS mean the same however they are
// written, in objects and where clients name a destination.
func TestHostsInCapitalLetters(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(r.Host + " " + r.Header.Get("x-by")))
	}))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	m := controltest.Start(t, map[string]string{"o.yaml": absentService + "---" + application(t, "web", "v1", "127.0.0.13") + `
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: default}
spec: {hosts: [Pay.Example.COM], resolution: STATIC, location: MESH_EXTERNAL, endpoints: [{address: 127.0.0.1, ports: {http: ` + port + `}}], ports: [{number: 80, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: default}
spec: {hosts: [PAY.example.com], http: [{headers: {request: {set: {x-by: route}}}, route: [{destination: {host: pay.EXAMPLE.com, subset: All}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: outside, namespace: default}
spec: {host: pay.example.COM, subsets: [{name: All}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: default}
spec: {hosts: [WEB], http: [{rewrite: {authority: routed}, route: [{destination: {host: Web.Default.svc.cluster.local}}]}]}
`})
	const small, large, web = "pay.example.com:80", "PAY.EXAMPLE.COM:80", "web.default.svc.cluster.local:80"
	c := newClient(t, m, "caller", small, large, web)
	for _, d := range []string{small, large} {
		m.Eventually(d+" answers", func() bool {
			status, body := c.get(d, "Pay.Example.Com", "/")
			return status == 200 && body == "Pay.Example.Com route"
		})
	}
	m.Eventually("the service's route holds", func() bool { _, body := c.get(web, "WEB", "/"); return body == "v1 routed" })
}
