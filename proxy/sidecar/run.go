package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/internal/version"
	"github.com/weftmesh/weft/proxy/accesslog"
	"github.com/weftmesh/weft/proxy/admin"
	"github.com/weftmesh/weft/proxy/aesgcm"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/inbound"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/mtls"
	"github.com/weftmesh/weft/proxy/outbound"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/trace"
	"github.com/weftmesh/weft/proxy/upstream"
)

// sidecar is one running proxy.
type sidecar struct {
	settings  Settings
	log       *slog.Logger
	activity  *forward.Activity
	telemetry *telemetry.Registry
	registry  *upstream.Registry
	tls       *mtls.Source
	store     *config.Store
	in        *inbound.Proxy
	out       *outbound.Proxy
	listeners []*listen.Listener
	stopping  atomic.Bool
	warm      chan struct{} // closed once the explicit upstreams were asked for
	logs      *accesslog.Sinks
	traces    *trace.Exporters
	end       chan struct{} // closed or written by what asks the proxy to end
}

// Run runs a proxy until stop is signalled and it has drained, or a second
// signal comes. Its error is one of starting up.
func Run(ctx context.Context, s Settings, stop <-chan os.Signal, log *slog.Logger) error {
	limitResources(s.Cores)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p, err := assemble(s, log)
	if err != nil {
		return err
	}
	defer p.registry.Close()
	if err := p.listen(ctx); err != nil {
		return err
	}
	if err := p.serveAdmin(ctx); err != nil {
		return err
	}
	log.Info("proxy started", "version", version.Get(), "identity", s.Identity.String(), "control", s.ControlAddress)
	if err := aesgcm.Fault(); errors.Is(err, aesgcm.ErrProcessor) {
		log.Debug("records use the standard library's AES-GCM", "why", err)
	} else if err != nil {
		log.Error("our own AES-GCM is wrong on this processor; the standard library's is used", "why", err)
	}
	go p.tls.Run(ctx)
	go p.configure(ctx)
	go p.activity.Guard(ctx, debug.SetMemoryLimit(-1), log)
	go forward.Rest(ctx)
	p.await(ctx, stop)
	p.close()
	p.logs.Close()
	p.traces.Close()
	return nil
}

func assemble(s Settings, log *slog.Logger) (*sidecar, error) {
	p := &sidecar{settings: s, log: log, activity: forward.NewActivity(), warm: make(chan struct{}), end: make(chan struct{}, 2)}
	p.telemetry = telemetry.NewRegistry(telemetry.Self{Workload: s.Pod, Namespace: s.Namespace, Owner: s.Owner, Identity: s.Identity, Version: version.Get()})
	signer := &signer{settings: &p.settings}
	var err error
	p.tls, err = mtls.New(mtls.Options{Identity: s.Identity, ControlNamespace: s.ControlNamespace, Signer: signer, Anchors: s.Anchors, Log: log})
	if err != nil {
		return nil, fmt.Errorf("%w: trust anchors: %w", ErrSettings, err)
	}
	signer.tls = p.tls
	own, refuse := p.own()
	p.registry = upstream.NewRegistry(upstream.Options{TLS: p.tls, Memory: p.activity, Own: own, Refuse: refuse, Log: log,
		Crashed: p.crashed, Meter: forward.DialledMeter(p.telemetry, inbound.ApplicationCluster)})
	p.logs = accesslog.NewSinks(log)
	p.traces = trace.NewExporters(trace.Collectors{Registry: p.registry}, s.self(), log)
	p.store = config.New(config.Options{Dial: p.dial, Registry: p.registry, Roots: p.tls.SetBundle, Log: log, AccessLogs: p.logs, Traces: p.traces, Env: s.Env,
		Node: config.Node{ID: s.nodeID(), Version: version.Get(), Metadata: p.metadata()}})
	watch := &forward.Watch{}
	watch.OnCrash(p.crashed)
	p.in = inbound.New(inbound.Options{Policy: p.store.Inbound, TLS: p.tls, Registry: p.registry, Telemetry: p.telemetry, Watch: watch,
		Refuse: refuse, ControlNamespace: s.ControlNamespace, Activity: p.activity, Log: log, Logs: p.store.InboundLogs(), Traces: p.store.InboundTraces()})
	p.out = outbound.New(outbound.Options{Source: source{p.store}, Registry: p.registry, Telemetry: p.telemetry, Watch: watch,
		Refuse: refuse, Activity: p.activity, Log: log, Logs: p.store.UnknownLogs()})
	p.gauges()
	return p, nil
}

// source gives outbound the store's destinations as what it needs of them.
type source struct{ *config.Store }

func (s source) Destination(ctx context.Context, name string) (outbound.Destination, error) {
	d, err := s.Store.Destination(ctx, name)
	if err != nil {
		return nil, err // not d: a nil pointer would not be a nil interface
	}
	return d, nil
}

// crashed counts and logs a panic that ended one connection.
func (p *sidecar) crashed(reason any, stack []byte) { p.activity.Crashed(p.log, reason, stack) }

func (p *sidecar) metadata() map[string]string {
	mode := "NONE"
	if p.settings.Redirect {
		mode = "REDIRECT"
	}
	return map[string]string{"NAMESPACE": p.settings.Namespace, "POD_NAME": p.settings.Pod, "SERVICE_ACCOUNT": p.settings.Identity.ServiceAccount,
		"INTERCEPTION_MODE": mode, "WEFT_VERSION": version.Get(), "WEFT_OWNER": p.settings.Owner}
}

// own is the workload's own addresses and the ports there that must not be
// dialled. Behind explicit listeners workloads share their addresses.
func (p *sidecar) own() ([]netip.Addr, func(netip.AddrPort) bool) {
	s := &p.settings
	if !s.Redirect {
		mine := map[netip.AddrPort]bool{}
		for _, u := range s.Upstreams {
			if a, err := netip.ParseAddrPort(u.Listen); err == nil {
				mine[a] = true
			}
		}
		return nil, func(a netip.AddrPort) bool { return mine[a] }
	}
	own := []netip.Addr{s.Address}
	if as, err := net.InterfaceAddrs(); err == nil {
		for _, a := range as {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok && !ip.IsLoopback() {
					own = append(own, ip.Unmap())
				}
			}
		}
	}
	var ports []uint16
	for _, l := range []string{s.OutboundListen, s.InboundListen} {
		if a, err := netip.ParseAddrPort("0.0.0.0" + l[strings.LastIndexByte(l, ':'):]); err == nil {
			ports = append(ports, a.Port())
		}
	}
	return own, upstream.OwnPorts(own, ports...)
}

func (p *sidecar) gauges() {
	p.telemetry.Gauge("weft_proxy_panics_total", "Connections that died of an error in the proxy.", func() float64 { return float64(p.activity.Panics()) })
	p.telemetry.Gauge("weft_proxy_carried", "Requests and opaque connections under way.", func() float64 { return float64(p.activity.Carried()) })
	p.telemetry.Gauge("weft_proxy_access_log_lines_total", "Lines of the access log that were written.", func() float64 { return float64(p.logs.Written()) })
	p.telemetry.Gauge("weft_proxy_access_log_dropped_total", "Lines of the access log that were lost, because the file was slow or could not be written.", func() float64 { return float64(p.logs.Dropped()) })
	p.telemetry.Gauge("weft_proxy_spans_exported_total", "Spans that a collector has taken.", func() float64 { return float64(p.traces.Exported()) })
	p.telemetry.Gauge("weft_proxy_spans_dropped_total", "Spans that were lost, because the collector was slow or away, or refused them.", func() float64 { return float64(p.traces.Dropped()) })
	p.shedding()
	p.telemetry.Gauge("control_connected", "Whether there is a stream to the control plane.", func() float64 {
		if p.store.Connected() {
			return 1
		}
		return 0
	})
	p.telemetry.Gauge("control_refused_resources_total", "Responses of the control plane that were refused, since the start.", func() float64 { return float64(p.store.Refused()) })
	p.telemetry.Gauge("identity_cert_expiration_timestamp_seconds", "When the proxy's certificate expires, in seconds of the Unix epoch.", func() float64 {
		if c, err := p.tls.Certificate(); err == nil {
			return float64(c.Leaf.NotAfter.Unix())
		}
		return 0
	})
}

// listen opens every data listener before anything else starts, so that a
// taken port is an error at once.
func (p *sidecar) listen(ctx context.Context) error {
	type one struct {
		address string
		handler listen.Handler
	}
	var all []one
	if p.settings.Redirect {
		all = append(all, one{p.settings.OutboundListen, p.out.Redirected}, one{p.settings.InboundListen, p.in.Redirected})
	}
	for _, l := range p.settings.Inbound {
		all = append(all, one{l.Listen, p.in.Explicit(l.Application)})
	}
	for _, l := range p.settings.Upstreams {
		all = append(all, one{l.Listen, p.out.Explicit(l.Destination)})
	}
	handlers := make([]listen.Handler, 0, len(all))
	for _, o := range all {
		l, err := listen.Listen(ctx, o.address, p.log)
		if err != nil {
			p.close()
			return err
		}
		p.listeners = append(p.listeners, l)
		handlers = append(handlers, o.handler)
	}
	for i, l := range p.listeners {
		go func() {
			if err := l.Serve(handlers[i]); err != nil {
				p.log.Error("listener ended", "address", l.Addr(), "error", err)
			}
		}()
	}
	return nil
}

func (p *sidecar) serveAdmin(ctx context.Context) error {
	o := admin.Options{Ready: p.ready, Metrics: p.telemetry, Config: func(w io.Writer) error { return p.store.Dump(w) }, Log: p.log}
	if p.settings.CanEnd {
		o.Shutdown = func() {
			select {
			case p.end <- struct{}{}:
			default:
			}
		}
	}
	server := admin.New(o)
	var listen net.ListenConfig
	for address, paths := range map[string]admin.Paths{p.settings.AdminListen: admin.Admin, p.settings.StatsListen: admin.Stats, p.settings.HealthListen: admin.Health} {
		if address == "" {
			continue
		}
		ln, err := listen.Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listen on %s: %w", address, err)
		}
		go func() {
			if err := server.Serve(ctx, ln, paths); err != nil && ctx.Err() == nil {
				p.log.Error("admin listener ended", "address", address, "error", err)
			}
		}()
	}
	return nil
}

// configure follows the control plane, once there is a certificate to show it.
func (p *sidecar) configure(ctx context.Context) {
	select {
	case <-p.tls.Ready():
	case <-ctx.Done():
		return
	}
	go func() {
		select {
		case <-p.store.Ready():
			p.keepUpstreams(ctx)
		case <-ctx.Done():
		}
	}()
	if err := p.store.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		p.log.Error("configuration ended", "error", err)
	}
}

// upstreamsEvery is how often the explicit upstreams are asked for again. It is
// shorter than the time after which an unused destination is given up.
const upstreamsEvery = 4 * time.Minute

// keepUpstreams asks for what the explicit listeners lead to before anybody
// dials them, and keeps it: they have no original address to fall back to when
// the control plane is away at their first use.
func (p *sidecar) keepUpstreams(ctx context.Context) {
	ask := func() {
		var all sync.WaitGroup
		for _, u := range p.settings.Upstreams {
			all.Go(func() {
				if _, err := p.store.Destination(ctx, u.Destination); err != nil {
					p.log.Info("upstream is not in the mesh yet", "upstream", u.Destination, "why", err)
				}
			})
		}
		all.Wait()
	}
	ask()
	close(p.warm)
	p.log.Info("proxy ready")
	// What starting up needed is not needed again.
	debug.FreeOSMemory()
	again := time.NewTicker(upstreamsEvery)
	defer again.Stop()
	for len(p.settings.Upstreams) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			ask()
		}
	}
}

func (p *sidecar) ready() bool {
	select {
	case <-p.warm:
	default:
		return false
	}
	_, err := p.tls.Certificate()
	return err == nil && !p.stopping.Load()
}

// await returns when the proxy is to end.
func (p *sidecar) await(ctx context.Context, stop <-chan os.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	alone := make(chan struct{})
	if p.settings.WatchProcesses {
		if os.Getpid() == 1 {
			p.log.Warn("processes are not shared in this pod, so their end cannot be seen", "variable", "WEFT_WATCH_PROCESSES")
		} else {
			go func() {
				if awaitLast(ctx, "/proc", os.Getpid(), time.Second) {
					close(alone)
				}
			}()
		}
	}
	select {
	case <-ctx.Done():
		return
	case <-alone:
		p.log.Info("every other process of the pod has ended")
		return
	case <-p.end:
	case <-stop:
	}
	p.stopping.Store(true)
	p.log.Info("draining", "carried", p.activity.Carried())
	p.activity.Drain()
	again := make(chan struct{})
	go func() {
		select {
		case <-stop:
			close(again)
		case <-alone:
			close(again)
		case <-ctx.Done():
		}
	}()
	d := drain{ports: p.applications, carried: p.activity.Carried, limit: p.settings.Drain, ended: p.settings.Native, log: p.log}
	d.wait(ctx, again)
}

// applications are the addresses where the application may listen.
func (p *sidecar) applications() []netip.AddrPort {
	if !p.settings.Redirect {
		var out []netip.AddrPort
		for _, l := range p.settings.Inbound {
			out = append(out, l.Application)
		}
		return out
	}
	out := p.in.Applications()
	if in := p.store.Inbound(); in != nil {
		for port := range in.Ports {
			out = append(out, netip.AddrPortFrom(p.settings.Address, port))
		}
	}
	return out
}

// close ends every connection.
func (p *sidecar) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, l := range p.listeners {
		l.StopAccepting()
	}
	for _, l := range p.listeners {
		if p.activity.Carried() > 0 {
			_ = l.Drain(ctx)
		}
		_ = l.Close()
	}
}
