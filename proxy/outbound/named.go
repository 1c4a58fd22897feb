package outbound

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/sniff"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// named serves a connection to an address that is nobody's, at a port where
// destinations are known by name: each request by its host, TLS by its server
// name. What asks for no such name has the fate of unknown destinations.
func (p *Proxy) named(ctx context.Context, c *conn.Conn, d *forward.Downstream, t *target) {
	var connect func(context.Context) (*forward.Flow, error)
	if p.opts.Source.Unknown() == config.AllowAny {
		connect = func(ctx context.Context) (*forward.Flow, error) { return p.original(ctx, d) }
	}
	// What one server at the port does says nothing of the next one.
	var m forward.Memory
	got, err := forward.Detect(ctx, c, &m, p.opts.Limits.Head, connect)
	if err != nil {
		p.opts.Log.Debug("connection without a word", "destination", d.Destination, "error", err)
		d.Turned(telemetry.Loopback, err)
		c.Abort()
		return
	}
	switch names := t.ByName(); {
	case names != nil && names.HTTP != nil && (got.Kind == sniff.HTTP1 || got.Kind == sniff.HTTP2):
		d.ByHost = p.newHosts(ctx, c, d, t).find
		p.http(ctx, c, d, got.Kind)
		return
	case names != nil && names.TLS != nil && got.Kind == sniff.TLS:
		if p.namedTLS(ctx, c, d, names.TLS, got.Flow) {
			return
		}
	}
	if got.Flow != nil {
		p.carry(ctx, c, got.Flow, telemetry.Loopback)
		return
	}
	p.without(ctx, c, d, config.ErrUnknown)
}

// namedTLS serves TLS whose server name is known; done is false for all other,
// which is left as it is. vain is a connection that the server has not answered
// on, or nil.
func (p *Proxy) namedTLS(ctx context.Context, c *conn.Conn, d *forward.Downstream, names *route.Names, vain *forward.Flow) (done bool) {
	drop := func() {
		if vain != nil {
			vain.Close()
		}
	}
	name, err := p.serverName(c)
	if err != nil {
		p.opts.Log.Debug("connection ended within its ClientHello", "destination", d.Destination, "error", err)
		drop()
		d.Turned(telemetry.OpaqueTLS, err)
		c.Abort()
		return true
	}
	d.ServerName = name
	to := names.Find(name)
	if to == "" {
		return false
	}
	drop()
	own := p.downstream(c, d.Destination, to)
	own.ServerName = name
	t, err := p.lookup(ctx, to)
	if err != nil {
		p.opts.Log.Info("connection refused", "destination", to, "reason", err)
		own.Logs = p.opts.Logs
		own.Turned(telemetry.OpaqueTLS, err)
		c.Abort()
		return true
	}
	own.Name = t.Name()
	p.opaque(ctx, c, own, t.TCP().For(route.Connection{TLS: true, Name: name, To: d.Destination.Addr()}), telemetry.OpaqueTLS)
	return true
}

// hosts finds the destinations of the requests of one connection.
type hosts struct {
	p    *Proxy
	ctx  context.Context
	c    *conn.Conn
	port string // the name of the list of names
	// names is the list; nil when there is none any more.
	names atomic.Pointer[target]
	// last is what was found last: usually that is asked for again.
	last atomic.Pointer[host]
	// rest is for requests to hosts that are not known, which go where the client
	// dialled, by the table.
	rest  *forward.Downstream
	table atomic.Pointer[route.Table]

	mu  sync.Mutex
	all map[string]*forward.Downstream // by destination
}

// host is what an authority came to, by the names of that moment.
type host struct {
	authority string
	names     *route.ByName
	d         *forward.Downstream
}

func (p *Proxy) newHosts(ctx context.Context, c *conn.Conn, d *forward.Downstream, t *target) *hosts {
	h := &hosts{p: p, ctx: ctx, c: c, port: t.key, rest: p.downstream(c, d.Destination, ""), all: map[string]*forward.Downstream{}}
	h.names.Store(t)
	h.rest.Logs, h.rest.Routes = p.opts.Logs, h.original
	return h
}

// find is forward.Downstream.ByHost.
func (h *hosts) find(r *http.Request) (*forward.Downstream, *forward.Failure) {
	names, err := h.now()
	if err != nil {
		return h.rest, &forward.Failure{Status: 503, Reason: forward.ReasonNoConfiguration, Unprocessed: true,
			Detail: "there is no configuration for " + h.port + ": " + err.Error()}
	}
	last := h.last.Load()
	if last == nil || last.names != names || last.authority != string(r.Authority) {
		to := ""
		if names != nil {
			to = names.HTTP.Find(route.Authority(r.Authority))
		}
		d, err := h.downstream(to)
		if err != nil {
			return h.rest, &forward.Failure{Status: 503, Reason: forward.ReasonNoConfiguration, Unprocessed: true,
				Detail: "there is no configuration for " + to + ": " + err.Error()}
		}
		last = &host{authority: string(r.Authority), names: names, d: d}
		h.last.Store(last)
	}
	if last.d == h.rest && h.p.opts.Source.Unknown() != config.AllowAny {
		f := unknown(last.authority)
		return last.d, &f
	}
	return last.d, nil
}

// now are the names as they are; nil for none. While they cannot be had anew,
// the last ones count; it is an error that there are some, and none before.
func (h *hosts) now() (*route.ByName, error) {
	t := h.names.Load()
	if t == nil || t.Stale() {
		switch n, err := h.p.lookup(h.ctx, h.port); {
		case err == nil:
			t = n
			h.names.Store(n)
		case errors.Is(err, config.ErrUnknown):
			h.names.Store(nil)
			return nil, nil
		case t == nil:
			return nil, err
		}
	}
	return t.ByName(), nil
}

// downstream is that of a destination, made once. What belongs to the mesh and
// has no configuration is an error: it must not go round the mesh.
func (h *hosts) downstream(to string) (*forward.Downstream, error) {
	if to == "" {
		return h.rest, nil
	}
	h.mu.Lock()
	d := h.all[to]
	h.mu.Unlock()
	if d != nil {
		return d, nil
	}
	t, err := h.p.lookup(h.ctx, to)
	if err != nil {
		return nil, err
	}
	d = h.p.downstream(h.c, h.rest.Destination, t.Name())
	d.Routes = h.p.routes(h.ctx, to, t)
	h.mu.Lock()
	defer h.mu.Unlock()
	if first := h.all[to]; first != nil {
		return first, nil
	}
	h.all[to] = d
	return d, nil
}

// original are the routes to where the client dialled.
func (h *hosts) original() *route.Table {
	log := h.p.opts.Logs.HTTP()
	if t := h.table.Load(); t != nil && t.Log == log {
		return t
	}
	r, err := route.NewRule(route.RuleSpec{Name: "allow_any", Backends: []route.Backend{{Name: upstream.PassthroughCluster, Weight: 1, Cluster: h.p.opts.Registry.Cluster(upstream.PassthroughCluster)}}})
	if err != nil {
		return nil // one backend with a weight is a rule always
	}
	t := route.NewTable("", []*route.Rule{r})
	t.Log = log
	h.table.Store(t)
	return t
}
