package sidecar

// shedding registers what the proxy refuses, and what it copies.
func (p *sidecar) shedding() {
	gauge := func(name, help string, value func() uint64) {
		p.telemetry.Gauge(name, help, func() float64 { return float64(value()) })
	}
	a := p.activity
	gauge("weft_proxy_memory_level", "How short of memory the proxy is: 0 relaxed, 1 smaller windows, 2 no new connections, 3 no new requests.", func() uint64 { return uint64(a.Level()) })
	gauge("weft_proxy_shed_connections_total", "Connections refused for want of memory.", func() uint64 { n, _ := a.Shed(); return n })
	gauge("weft_proxy_shed_requests_total", "Requests refused for want of memory.", func() uint64 { _, n := a.Shed(); return n })
	gauge("weft_proxy_mirrored_total", "Requests that were mirrored.", func() uint64 { n, _, _ := a.Mirrored(); return n })
	gauge("weft_proxy_mirror_skipped_total", "Requests that were meant to be mirrored, and were too large or too many.", func() uint64 { _, n, _ := a.Mirrored(); return n })
	gauge("weft_proxy_mirror_failed_total", "Mirrored requests that nobody answered.", func() uint64 { _, _, n := a.Mirrored(); return n })
}
