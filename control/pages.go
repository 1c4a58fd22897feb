package control

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weftmesh/weft/control/admin"
	"github.com/weftmesh/weft/control/push"
	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/mesh"
)

// adminPages is the admin port's handler.
func (c *Control) adminPages() http.Handler {
	return admin.Handler(admin.Settings{
		Ready:   c.Ready,
		Metrics: c.registry,
		Log:     c.options.Log,
		Pages: map[string]admin.Page{
			"proxies":   func() any { return c.push.Proxies() },
			"problems":  func() any { return c.Problems() },
			"mesh":      func() any { return c.snapshot.Mesh() },
			"endpoints": func() any { return c.snapshot.Endpoints() },
			"snapshot":  func() any { return c.snapshot.Stats() },
		},
	})
}

// Problems of the newest mesh, in canonical order; never nil.
func (c *Control) Problems() []mesh.Problem {
	if r := c.result.Load(); r != nil && r.Problems != nil {
		return r.Problems
	}
	return []mesh.Problem{}
}

func (c *Control) registerMetrics() {
	gauge := func(name, help string, f func() float64) {
		c.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("weft_control_mesh_revision", "Revision of the newest mesh.", func() float64 { return float64(c.snapshot.Revision()) })
	counter := func(name, help string, f func(translate.Work) uint64) {
		c.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 {
			if w := c.work.Load(); w != nil {
				return float64(f(*w))
			}
			return 0
		}))
	}
	counter("weft_control_translations_total", "Runs of the translators; changes of endpoints alone need none.", func(w translate.Work) uint64 { return w.Runs })
	counter("weft_control_translated_objects_total", "Objects that they read.", func(w translate.Work) uint64 { return w.Objects })
	gauge("weft_control_problems", "Problems of the newest mesh.", func() float64 { return float64(len(c.Problems())) })
	gauge("weft_control_resources_held", "Distinct encoded resources that proxies hold.", func() float64 { return float64(c.snapshot.Stats().Held) })
	gauge("weft_control_resources_held_bytes", "Their size.", func() float64 { return float64(c.snapshot.Stats().Bytes) })
	gauge("weft_control_issuer_expiry_seconds", "When the issuer's certificate expires, in seconds since 1970; 0 without one.", func() float64 {
		i, err := c.authority.Issuer()
		if err != nil {
			return 0
		}
		return float64(i.Certificate().NotAfter.Unix())
	})
}

// Proxies is the state of every discovery stream.
func (c *Control) Proxies() []push.Proxy { return c.push.Proxies() }

// Revision of the newest mesh; 0 before the first.
func (c *Control) Revision() uint64 { return c.snapshot.Revision() }

// Work is what the snapshot has done so far.
func (c *Control) Work() snapshot.Stats { return c.snapshot.Stats() }

// Refused is why the newest issuer is not in use, or nil.
func (c *Control) Refused() error { return c.authority.Refused() }
