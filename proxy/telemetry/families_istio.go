package telemetry

// istio writes Istio's families. Handles that differ only in what Istio does
// not tell (the endpoint's address) are written as one series.
func (r *Registry) istio(o *out) {
	hs, ts := r.snapshot()
	httpSums := sumHTTP(hs, func(h *HTTP, c *class) string { return h.labels.istio + "," + c.istio() })
	o.family("istio_requests_total", "counter", "Requests handled by the proxy.")
	for _, s := range httpSums {
		o.count("istio_requests_total", s.labels, "", s.count)
	}
	for _, f := range []struct {
		name, help string
		bounds     *bounds
		of         func(*httpSum) *sums
	}{
		{"istio_request_duration_milliseconds", "Duration of requests, in milliseconds.", durationBounds, func(s *httpSum) *sums { return &s.total }},
		{"istio_request_bytes", "Size of request bodies, in bytes.", sizeBounds, func(s *httpSum) *sums { return &s.request }},
		{"istio_response_bytes", "Size of response bodies, in bytes.", sizeBounds, func(s *httpSum) *sums { return &s.response }},
	} {
		o.family(f.name, "histogram", f.help)
		for _, s := range httpSums {
			h := f.of(s).histogram()
			o.histogram(f.name, s.labels, "", f.bounds, h)
		}
	}
	tcpSums := sumTCP(opaque(ts), func(t *TCP) string { return t.labels.istio + `,request_protocol="tcp"` })
	for _, f := range []struct {
		name, help string
		of         func(*tcpSum) uint64
	}{
		{"istio_tcp_connections_opened_total", "TCP connections opened.", func(s *tcpSum) uint64 { return s.opened }},
		{"istio_tcp_connections_closed_total", "TCP connections closed.", (*tcpSum).closes},
		{"istio_tcp_sent_bytes_total", "Bytes sent in responses of TCP connections.", func(s *tcpSum) uint64 { return s.sent }},
		{"istio_tcp_received_bytes_total", "Bytes received in requests of TCP connections.", func(s *tcpSum) uint64 { return s.received }},
	} {
		o.family(f.name, "counter", f.help)
		for _, s := range tcpSums {
			o.count(f.name, s.labels, "", f.of(s))
		}
	}
	o.family("istio_build", "gauge", "Build of the component.")
	o.value("istio_build", render([]Label{{"component", "proxy"}, {"tag", orUnknown(r.self.Version)}}), 1)
}

// opaque are the flows that Istio counts, each from one of its two connections.
func opaque(ts []*TCP) []*TCP {
	var out []*TCP
	for _, t := range ts {
		if t.key.Opaque && (t.key.Direction == Outbound) == (t.key.Side == Dst) {
			out = append(out, t)
		}
	}
	return out
}
