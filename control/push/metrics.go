package push

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of discovery.
type Metrics struct {
	proxies   *prometheus.GaugeVec
	resources *prometheus.CounterVec
	bytes     *prometheus.CounterVec
	nacks     *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them where the registerer is not nil.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		proxies:   prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "weft_control_proxies", Help: "Open discovery streams."}, []string{"protocol"}),
		resources: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weft_control_pushed_resources_total", Help: "Resources sent, removals included."}, []string{"type"}),
		bytes:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weft_control_pushed_bytes_total", Help: "Bytes of encoded resources sent."}, []string{"type"}),
		nacks:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "weft_control_nacks_total", Help: "Responses that a client refused."}, []string{"type"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "weft_control_push_seconds", Help: "Time to hand one response to a client, flow control included.",
			Buckets: []float64{.0001, .001, .01, .1, 1, 10}}, []string{"type"}),
	}
	if reg != nil {
		reg.MustRegister(m.proxies, m.resources, m.bytes, m.nacks, m.seconds)
	}
	return m
}

func (m *Metrics) connected(dialect string, n float64) { m.proxies.WithLabelValues(dialect).Add(n) }

func (m *Metrics) pushed(typ string, resources, bytes int, d time.Duration) {
	m.resources.WithLabelValues(typ).Add(float64(resources))
	m.bytes.WithLabelValues(typ).Add(float64(bytes))
	m.seconds.WithLabelValues(typ).Observe(d.Seconds())
}

func (m *Metrics) refused(typ string) { m.nacks.WithLabelValues(typ).Inc() }
