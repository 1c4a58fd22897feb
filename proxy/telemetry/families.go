package telemetry

import (
	"sort"
	"strconv"
)

// linkerd writes Linkerd's families, then what else was registered. Handles
// that differ only in what Linkerd does not tell are written as one series.
func (r *Registry) linkerd(o *out) {
	hs, ts := r.snapshot()
	o.family("request_total", "counter", "Total count of HTTP requests.")
	for i := 0; i < len(hs); {
		l, n := hs[i].labels.linkerd, uint64(0)
		for ; i < len(hs) && hs[i].labels.linkerd == l; i++ {
			n += hs[i].requests.Load()
		}
		o.count("request_total", l, "", n)
	}
	answers := sumHTTP(hs, func(h *HTTP, c *class) string { return h.labels.linkerd + c.linkerd() })
	o.family("response_total", "counter", "Total count of HTTP responses.")
	for _, s := range answers {
		o.count("response_total", s.labels, "", s.count)
	}
	o.family("response_latency_ms", "histogram", "Elapsed times between a request's headers being received and its response's headers being sent.")
	for _, s := range answers {
		o.histogram("response_latency_ms", s.labels, "", latencyBounds, s.firstByte.histogram())
	}
	flows := sumTCP(ts, func(t *TCP) string { return t.labels.linkerd })
	o.family("tcp_open_total", "counter", "Total count of opened connections.")
	for _, s := range flows {
		o.count("tcp_open_total", s.labels, "", s.opened)
	}
	o.family("tcp_open_connections", "gauge", "Number of currently open connections.")
	for _, s := range flows {
		o.value("tcp_open_connections", s.labels, float64(s.current))
	}
	o.family("tcp_close_total", "counter", "Total count of closed connections.")
	for _, s := range flows {
		for _, reason := range s.reasons() {
			o.count("tcp_close_total", s.labels, render([]Label{{"errno", reason}}), s.closed[reason])
		}
	}
	o.family("tcp_connection_duration_ms", "histogram", "Lifetime of closed connections, in milliseconds.")
	for _, s := range flows {
		o.histogram("tcp_connection_duration_ms", s.labels, "", latencyBounds, s.duration.histogram())
	}
	o.family("tcp_read_bytes_total", "counter", "Total count of bytes read from peers.")
	for _, s := range flows {
		o.count("tcp_read_bytes_total", s.labels, "", s.read)
	}
	o.family("tcp_write_bytes_total", "counter", "Total count of bytes written to peers.")
	for _, s := range flows {
		o.count("tcp_write_bytes_total", s.labels, "", s.written)
	}
	r.registered(o)
	process(o)
}

// linkerd are the labels of an answer in response_total.
func (c *class) linkerd() string {
	r := Response{Status: c.status, GRPC: c.grpc, Judged: c.judged}
	verdict := "failure"
	if r.Success() {
		verdict = "success"
	}
	ls := []Label{{"status_code", strconv.Itoa(c.status)}, {"classification", verdict}, {"error", c.err}}
	if c.grpc != NoGRPC {
		ls = append(ls, Label{"grpc_status", strconv.Itoa(c.grpc)})
	}
	return "," + render(ls)
}

// istio are the labels of an answer in Istio's families.
func (c *class) istio() string {
	ls := []Label{{"request_protocol", "http"}, {"response_code", strconv.Itoa(c.status)}, {"response_flags", c.flags}}
	if c.flags == "" {
		ls[2].Value = "-"
	}
	if c.grpc != NoGRPC {
		ls[0].Value = "grpc"
		ls = append(ls, Label{"grpc_response_status", strconv.Itoa(c.grpc)})
	}
	return render(ls)
}

// registered writes the counters and gauges of other packages.
func (r *Registry) registered(o *out) {
	r.mu.Lock()
	names := make([]string, 0, len(r.vecs))
	for n := range r.vecs {
		names = append(names, n)
	}
	gauges := append([]gauge(nil), r.gauges...)
	r.mu.Unlock()
	sort.Strings(names)
	for _, n := range names {
		r.mu.Lock()
		v := r.vecs[n]
		cs := make([]*Counter, 0, len(v.counters))
		for _, c := range v.counters {
			cs = append(cs, c)
		}
		r.mu.Unlock()
		sort.Slice(cs, func(i, j int) bool { return cs[i].labels < cs[j].labels })
		o.family(n, "counter", v.help)
		for _, c := range cs {
			o.count(n, c.labels, "", c.Value())
		}
	}
	sort.SliceStable(gauges, func(i, j int) bool { return gauges[i].name < gauges[j].name })
	for i, g := range gauges {
		if i == 0 || gauges[i-1].name != g.name {
			o.family(g.name, "gauge", g.help)
		}
		o.value(g.name, g.labels, g.value())
	}
}
