package bench

// The names of peers.
const (
	Ours       = "weft"
	Previous   = "weft-previous"
	Nginx      = "nginx"
	HAProxy    = "haproxy"
	Envoy      = "envoy"
	EnvoyIstio = "envoy-istio"
	EnvoyH2    = "envoy-h2"
	None       = "none" // no sidecar, the load talks to the application
)

// Bound is what ours must hold against a peer in one cell: ratios are ours
// over the peer's. Without a peer the limit is absolute.
type Bound struct {
	Cell, Peer, Metric string
	Max, Min           float64 // 0 is none
}

// Met says whether the median keeps the bound.
func (b Bound) Met(s Spread) bool {
	return (b.Max == 0 || s.Median <= b.Max) && (b.Min == 0 || s.Median >= b.Min)
}

// Bounds are the project's goals.
func Bounds() []Bound {
	var out []Bound
	cpu := func(limit float64, peer string, cells ...string) {
		for _, c := range cells {
			out = append(out, Bound{Cell: c, Peer: peer, Metric: "cpu", Max: limit})
		}
	}
	saturated := []string{"http1/saturated/16", "http1/saturated/64"}
	rates := []string{"http1/1000-rps/1", "http1/1000-rps/16", "http1/5000-rps/16", "http1/5000-rps/64"}
	grpc := []string{"grpc-unary/1x1", "grpc-unary/4x16"}
	cpu(0.15, EnvoyIstio, saturated...)
	cpu(0.18, EnvoyIstio, "http1/saturated/1")
	cpu(0.26, EnvoyIstio, rates[:2]...)
	cpu(0.42, EnvoyIstio, rates[2:]...)
	for _, p := range []string{Nginx, HAProxy} {
		cpu(0.5, p, saturated...)
		cpu(0.75, p, append([]string{"http1/saturated/1", "http1/saturated/1000"}, rates...)...)
	}
	cpu(0.25, Envoy, grpc...)
	for _, c := range saturated {
		out = append(out, Bound{Cell: c, Peer: Envoy, Metric: "rps", Min: 5})
	}
	for _, c := range append(append(append([]string{"http1/saturated/1"}, saturated...), rates...), grpc...) {
		for _, p := range []string{Nginx, HAProxy, Envoy, EnvoyIstio} {
			out = append(out, Bound{Cell: c, Peer: p, Metric: "p50", Max: 1}, Bound{Cell: c, Peer: p, Metric: "p99", Max: 1})
		}
	}
	// MiB, exchanges and connections per CPU second are the CPU's inverse.
	cpu(1/1.1, Envoy, "tcp-bulk/4")
	cpu(1/1.4, HAProxy, "tcp-bulk/4")
	cpu(1/1.3, Envoy, "http1-1MiB/4")
	cpu(0.7, Envoy, "tcp-1KiB/16")
	cpu(1, Envoy, "tcp-connect/16")
	for _, p := range []string{"c-skip", "e2-mux"} {
		cpu(1.25, p, append(append([]string{"http1/saturated/1"}, saturated...), rates...)...)
	}
	return append(out, Bound{Cell: "idle", Metric: "rss", Max: 12}, Bound{Cell: "http1-idle/1000", Metric: "rss", Max: 30},
		Bound{Cell: "http1/saturated/1000", Metric: "rss", Max: 40})
}
