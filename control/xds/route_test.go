package xds

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/weftmesh/weft/mesh"
)

func targetOf(b mesh.Backend) Target {
	if b.Service.Name == "gone" {
		return Target{}
	}
	if b.Service.Name == "missing" {
		return Target{Cluster: SubsetName("missing", b.Port, b.Subset), Missing: true}
	}
	t := Target{Cluster: SubsetName(b.Service.Name+".ns.svc.cluster.local", b.Port, b.Subset)}
	if b.Service.Name == "hashed" {
		t.Hash = &mesh.Hash{Header: "x-user"}
	}
	return t
}

func one(rule mesh.Rule, kind Kind) []*routev3.Route {
	return RouteConfiguration("api.ns.svc.cluster.local", 80, []mesh.Rule{rule}, nil, targetOf, kind).GetVirtualHosts()[0].GetRoutes()
}

func backend(name string, weight uint32) mesh.Backend {
	return mesh.Backend{Service: mesh.Ref{Namespace: "ns", Name: name}, Port: 80, Weight: weight}
}

func TestBackends(t *testing.T) {
	refused := backend("b", 1)
	refused.Invalid = "not allowed"
	missing := backend("missing", 1)
	missing.Invalid, missing.Status = "HostNotFound", 503
	changed := backend("a", 1)
	changed.RequestHeaders.Set = []mesh.Header{{Name: "x", Value: "1"}}
	for _, c := range []struct {
		name     string
		backends []mesh.Backend
		want     string // cluster, "500", or names of the weighted clusters
	}{
		{"none", nil, "500"},
		{"all weights zero", []mesh.Backend{backend("a", 0), backend("b", 0)}, "500"},
		{"none usable", []mesh.Backend{backend("gone", 1), refused}, "500"},
		{"one", []mesh.Backend{backend("a", 7)}, "outbound|80||a.ns.svc.cluster.local"},
		{"one with weight", []mesh.Backend{backend("a", 7), backend("b", 0)}, "outbound|80||a.ns.svc.cluster.local"},
		{"one with headers", []mesh.Backend{changed}, "weighted outbound|80||a.ns.svc.cluster.local"},
		{"share of an unusable one", []mesh.Backend{backend("a", 9), refused}, "weighted outbound|80||a.ns.svc.cluster.local invalid"},
		{"share of one that is gone", []mesh.Backend{backend("a", 9), backend("gone", 1)}, "weighted outbound|80||a.ns.svc.cluster.local invalid"},
		{"a missing one", []mesh.Backend{missing}, "outbound|80||missing"},
		{"share of a missing one", []mesh.Backend{backend("a", 9), missing}, "weighted outbound|80||a.ns.svc.cluster.local outbound|80||missing"},
	} {
		r := one(mesh.Rule{Backends: c.backends}, Weft)[0]
		got := r.GetRoute().GetCluster()
		if r.GetDirectResponse().GetStatus() == 500 {
			got = "500"
		}
		if w := r.GetRoute().GetWeightedClusters().GetClusters(); len(w) > 0 {
			got = "weighted"
			for _, x := range w {
				got += " " + x.GetName()
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestMatchesPerKind(t *testing.T) {
	rule := mesh.Rule{Backends: []mesh.Backend{backend("a", 1)}, Matches: []mesh.Match{
		{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/v2/"}},
		{Path: mesh.PathMatch{Kind: mesh.PathPrefix, Value: "/"}, Method: "GET"},
		{Path: mesh.PathMatch{Kind: mesh.Regex, Value: "/x.*"}, Query: []mesh.ValueMatch{{Name: "q", Kind: mesh.Exact, Value: "1"}}},
		{Method: "POST", Headers: []mesh.ValueMatch{{Name: "h", Kind: mesh.Regex, Value: "a+"}}},
	}}
	weft := one(rule, Weft)
	if len(weft) != 4 {
		t.Fatalf("%d routes", len(weft))
	}
	if weft[0].GetMatch().GetPathSeparatedPrefix() != "/v2" || weft[1].GetMatch().GetPrefix() != "/" || weft[2].GetMatch().GetSafeRegex().GetRegex() != "/x.*" {
		t.Errorf("paths: %v", weft)
	}
	if m := weft[1].GetMatch().GetHeaders()[0]; m.GetName() != ":method" || m.GetStringMatch().GetExact() != "GET" {
		t.Errorf("method: %v", m)
	}
	if q := weft[2].GetMatch().GetQueryParameters()[0]; q.GetName() != "q" || q.GetStringMatch().GetExact() != "1" {
		t.Errorf("query: %v", q)
	}
	if weft[0].GetRoute().GetTimeout() != nil {
		t.Error("a timeout that our proxy has no need of")
	}
	// gRPC has no prefixes of segments, no methods and no query.
	grpc := one(rule, GRPC)
	if len(grpc) != 3 || grpc[0].GetMatch().GetPath() != "/v2" || grpc[1].GetMatch().GetPrefix() != "/v2/" || len(grpc[2].GetMatch().GetHeaders()) != 1 {
		t.Errorf("for gRPC: %v", grpc)
	}
	if one(rule, Envoy)[0].GetRoute().GetTimeout() == nil {
		t.Error("Envoy would cut requests after 15 s")
	}
}

func TestConnectionShares(t *testing.T) {
	if got := TCPShares(nil, targetOf); got != nil {
		t.Errorf("no split: %v", got)
	}
	if got := TCPShares([]mesh.Backend{backend("a", 0)}, targetOf); len(got) != 1 || got[0].Cluster != InvalidCluster {
		t.Errorf("all weights zero: %v", got)
	}
	if got := TCPShares([]mesh.Backend{backend("a", 3), backend("gone", 1)}, targetOf); len(got) != 2 || got[1].Cluster != InvalidCluster || got[0].Weight != 3 {
		t.Errorf("a missing one: %v", got)
	}
}

// TestPercentSignsAreEscaped: in the values of headers to add, Envoy reads %
// as the beginning of a command and refuses what it does not know.
func TestPercentSignsAreEscaped(t *testing.T) {
	rule := mesh.Rule{Backends: []mesh.Backend{backend("a", 1)}}
	rule.RequestHeaders.Set = []mesh.Header{{Name: "x-share", Value: "10% of 100%"}}
	rule.ResponseHeaders.Add = []mesh.Header{{Name: "x-path", Value: "%2F"}}
	for _, kind := range []Kind{Weft, Envoy} {
		r := one(rule, kind)[0]
		if got := r.GetRequestHeadersToAdd()[0].GetHeader().GetValue(); got != "10%% of 100%%" {
			t.Errorf("%s: request header %q", kind, got)
		}
		if got := r.GetResponseHeadersToAdd()[0].GetHeader().GetValue(); got != "%%2F" {
			t.Errorf("%s: response header %q", kind, got)
		}
	}
}
