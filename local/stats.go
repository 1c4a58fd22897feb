package local

import (
	"bytes"
	"context"
	"maps"
	"math"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// ServiceStats is one row of the table: what a service's own proxies saw come in.
type ServiceStats struct {
	Name string `json:"name"`
	// Requests, or connections for a service that speaks plain TCP.
	Requests int `json:"requests"`
	// Success is the share of them that did not fail, from 0 to 1.
	Success float64 `json:"success"`
	RPS     float64 `json:"rps"`
	P50     float64 `json:"p50_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
	// MTLS is the share that came over mutual TLS, from 0 to 1.
	MTLS float64 `json:"mtls"`
}

// SplitStats is what one backend of a split service got.
type SplitStats struct {
	Service  string `json:"service"`
	Backend  string `json:"backend"`
	Weight   int    `json:"weight"`
	Requests int    `json:"requests"`
}

// counts are the counters of one service; they only grow.
type counts struct {
	requests, failures, mtls float64
	buckets                  map[float64]float64 // upper bound in ms → requests at or below
}

func newCounts() *counts { return &counts{buckets: map[float64]float64{}} }

func (c *counts) add(o *counts) {
	c.requests, c.failures, c.mtls = c.requests+o.requests, c.failures+o.failures, c.mtls+o.mtls
	for le, n := range o.buckets {
		c.buckets[le] += n
	}
}

// since returns what was counted after old.
func (c *counts) since(old *counts) *counts {
	d := newCounts()
	d.add(c)
	if old != nil {
		d.requests, d.failures, d.mtls = d.requests-old.requests, d.failures-old.failures, d.mtls-old.mtls
		for le, n := range old.buckets {
			d.buckets[le] -= n
		}
	}
	return d
}

func (c *counts) stats(name string, seconds float64) ServiceStats {
	s := ServiceStats{Name: name, Requests: int(math.Round(c.requests)), P50: c.quantile(0.5), P95: c.quantile(0.95), P99: c.quantile(0.99)}
	if c.requests > 0 {
		s.Success, s.MTLS = 1-c.failures/c.requests, c.mtls/c.requests
	}
	if seconds > 0 {
		s.RPS = c.requests / seconds
	}
	return s
}

// quantile interpolates within the bucket, as PromQL's histogram_quantile does.
func (c *counts) quantile(q float64) float64 {
	bounds := slices.Sorted(maps.Keys(c.buckets))
	if len(bounds) == 0 || c.buckets[bounds[len(bounds)-1]] == 0 {
		return 0
	}
	rank := q * c.buckets[bounds[len(bounds)-1]]
	lower, below := 0.0, 0.0
	for _, le := range bounds {
		n := c.buckets[le]
		if n >= rank {
			if math.IsInf(le, 1) || n == below {
				return lower
			}
			return lower + (le-lower)*(rank-below)/(n-below)
		}
		lower, below = le, n
	}
	return lower
}

// inboundCounts reads what a proxy saw come in. TCP says that the service's
// unit is the connection.
func inboundCounts(families map[string]*dto.MetricFamily, tcp bool) *counts {
	c := newCounts()
	total, latency := "response_total", "response_latency_ms"
	if tcp {
		total, latency = "tcp_open_total", "tcp_connection_duration_ms"
	}
	each(families, total, func(l map[string]string, m *dto.Metric) {
		if l["direction"] != "inbound" || tcp && l["peer"] != "src" {
			return
		}
		n := m.GetCounter().GetValue()
		c.requests += n
		if l["classification"] == "failure" {
			c.failures += n
		}
		if l["tls"] == "true" {
			c.mtls += n
		}
	})
	each(families, latency, func(l map[string]string, m *dto.Metric) {
		if l["direction"] != "inbound" || tcp && l["peer"] != "src" {
			return
		}
		for _, b := range m.GetHistogram().GetBucket() {
			c.buckets[b.GetUpperBound()] += float64(b.GetCumulativeCount())
		}
	})
	return c
}

// backendCounts reads how many requests a proxy sent to each service.
func backendCounts(families map[string]*dto.MetricFamily) map[string]float64 {
	out := map[string]float64{}
	each(families, "request_total", func(l map[string]string, m *dto.Metric) {
		if l["direction"] == "outbound" && l["dst_service"] != "" {
			out[l["dst_service"]] += m.GetCounter().GetValue()
		}
	})
	return out
}

func each(families map[string]*dto.MetricFamily, name string, f func(map[string]string, *dto.Metric)) {
	for _, m := range families[name].GetMetric() {
		labels := map[string]string{}
		for _, p := range m.GetLabel() {
			labels[p.GetName()] = p.GetValue()
		}
		f(labels, m)
	}
}

// scrape reads a proxy's metrics; a proxy that is away counts nothing.
func scrape(ctx context.Context, admin string) (map[string]*dto.MetricFamily, error) {
	text, err := page(ctx, "http://"+admin+"/metrics")
	if err != nil {
		return nil, err
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	return p.TextToMetricFamilies(bytes.NewReader(text))
}

// tally adds up the counters of proxies that come and go: what a proxy counted
// before it ended is kept.
type tally struct {
	past map[string]*counts // by service
	last map[string]*counts // by proxy
	of   map[string]string  // proxy → service
}

func newTally() *tally {
	return &tally{past: map[string]*counts{}, last: map[string]*counts{}, of: map[string]string{}}
}

// saw takes the newest counters of a proxy. Counters that went back mean that
// it was started anew.
func (t *tally) saw(proxy, service string, c *counts) {
	if old := t.last[proxy]; old != nil && c.requests < old.requests {
		if t.past[service] == nil {
			t.past[service] = newCounts()
		}
		t.past[service].add(old)
	}
	t.last[proxy], t.of[proxy] = c, service
}

// byService sums up.
func (t *tally) byService() map[string]*counts {
	out := map[string]*counts{}
	at := func(s string) *counts {
		if out[s] == nil {
			out[s] = newCounts()
		}
		return out[s]
	}
	for s, c := range t.past {
		at(s).add(c)
	}
	for p, c := range t.last {
		at(t.of[p]).add(c)
	}
	return out
}
