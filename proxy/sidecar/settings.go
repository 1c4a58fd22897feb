package sidecar

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/trace"
)

// ErrSettings means that the environment is incomplete or malformed; the text
// names the variable and what it should hold.
var ErrSettings = errors.New("invalid settings")

// Lookup gives the value of a variable of the environment and whether it is
// set (os.LookupEnv).
type Lookup func(name string) (string, bool)

// Settings are the proxy's environment (docs/xds.md, a proxy's environment).
type Settings struct {
	// ControlAddress is host:port; ControlName is what its certificate must carry.
	ControlAddress, ControlName string
	Anchors                     *identity.Bundle
	// TokenFile is read again for each signing.
	TokenFile                       string
	ControlNamespace, ClusterDomain string
	Pod, Namespace, Owner           string
	Identity                        identity.ID
	// Address is the workload's own.
	Address netip.Addr
	// Redirect says that the kernel redirects connections; otherwise Inbound and
	// Upstreams are explicit listeners.
	Redirect                       bool
	OutboundListen, InboundListen  string
	Inbound                        []InboundListener
	Upstreams                      []UpstreamListener
	AdminListen, StatsListen       string
	HealthListen                   string
	Drain                          time.Duration
	LogLevel                       slog.Level
	Cores                          int
	WatchProcesses, Native, CanEnd bool
	// Env looks up what attributes of spans name.
	Env Lookup
}

// InboundListener stands before one address of the application.
type InboundListener struct {
	Listen      string
	Application netip.AddrPort
}

// UpstreamListener stands for one destination, <host>:<port>.
type UpstreamListener struct{ Destination, Listen string }

// reader reads variables and remembers the first error.
type reader struct {
	lookup Lookup
	err    error
}

func (r *reader) get(name, standard string) string {
	if v, ok := r.lookup(name); ok {
		return strings.TrimSpace(v)
	}
	return standard
}

func (r *reader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s: %s", ErrSettings, name, fmt.Sprintf(format, args...))
	}
}

func (r *reader) need(name, what string) string {
	v := r.get(name, "")
	if v == "" {
		r.fail(name, "is not set; it must hold %s", what)
	}
	return v
}

func (r *reader) address(name, standard string) string {
	v := r.get(name, standard)
	if v == "" {
		return ""
	}
	if _, _, err := net.SplitHostPort(v); err != nil {
		r.fail(name, "%q is not [host]:port", v)
	}
	return v
}

func (r *reader) flag(name string) bool {
	switch v := r.get(name, ""); v {
	case "1", "true":
		return true
	case "", "0", "false":
	default:
		r.fail(name, "%q is neither 1 nor 0", v)
	}
	return false
}

func (r *reader) number(name string, standard int) int {
	v := r.get(name, "")
	if v == "" {
		return standard
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		r.fail(name, "%q is not a whole number of 0 or more", v)
		return standard
	}
	return n
}

// Read reads the environment.
func Read(lookup Lookup) (Settings, error) {
	r := &reader{lookup: lookup}
	s := Settings{
		Env:            lookup,
		ControlAddress: r.need("WEFT_CONTROL_ADDRESS", "host:port of the control plane"),
		TokenFile:      r.need("WEFT_TOKEN_FILE", "the path of the workload's token"),
		ClusterDomain:  r.get("WEFT_CLUSTER_DOMAIN", "cluster.local"),
		Pod:            r.need("POD_NAME", "the workload's name"),
		Namespace:      r.need("POD_NAMESPACE", "the workload's namespace"),
		Owner:          r.get("WEFT_OWNER", ""),
		AdminListen:    r.address("WEFT_ADMIN_LISTEN", ":4191"),
		StatsListen:    r.address("WEFT_STATS_LISTEN", ":15090"),
		HealthListen:   r.address("WEFT_HEALTH_LISTEN", ":15021"),
		Drain:          time.Duration(r.number("WEFT_DRAIN_SECONDS", 0)) * time.Second,
		Cores:          max(1, r.number("WEFT_CORES", 1)),
		WatchProcesses: r.flag("WEFT_WATCH_PROCESSES"),
		Native:         r.flag("WEFT_NATIVE_SIDECAR"),
		CanEnd:         r.flag("WEFT_SHUTDOWN"),
	}
	s.ControlNamespace = r.get("WEFT_CONTROL_NAMESPACE", "weft-system")
	host, _, err := net.SplitHostPort(s.ControlAddress)
	if err != nil && s.ControlAddress != "" {
		r.fail("WEFT_CONTROL_ADDRESS", "%q is not host:port", s.ControlAddress)
	}
	s.ControlName = r.get("WEFT_CONTROL_NAME", host)
	s.Anchors = r.anchors()
	if s.Identity, err = identity.NewID(r.get("WEFT_TRUST_DOMAIN", identity.DefaultTrustDomain), s.Namespace, r.need("SERVICE_ACCOUNT", "the workload's service account")); err != nil {
		r.fail("WEFT_TRUST_DOMAIN, POD_NAMESPACE and SERVICE_ACCOUNT", "make no identity: %v", err)
	}
	if s.Address, err = netip.ParseAddr(r.need("POD_IP", "the workload's address")); err != nil {
		r.fail("POD_IP", "%v", err)
	}
	switch level := r.get("WEFT_LOG", "info"); level {
	case "error", "warn", "info", "debug":
		_ = s.LogLevel.UnmarshalText([]byte(level))
	default:
		r.fail("WEFT_LOG", "%q is none of error, warn, info, debug", level)
	}
	switch mode := r.get("WEFT_MODE", "redirect"); mode {
	case "redirect":
		s.Redirect = true
		s.OutboundListen = r.address("WEFT_OUTBOUND_LISTEN", ":4140")
		s.InboundListen = r.address("WEFT_INBOUND_LISTEN", ":4143")
	case "none":
		s.Inbound = r.inbound()
		s.Upstreams = r.upstreams()
	default:
		r.fail("WEFT_MODE", "%q is neither redirect nor none", mode)
	}
	return s, r.err
}

func (r *reader) anchors() *identity.Bundle {
	name, pem := "WEFT_TRUST_ANCHORS", []byte(r.get("WEFT_TRUST_ANCHORS", ""))
	if file := r.get("WEFT_TRUST_ANCHORS_FILE", ""); len(pem) == 0 && file != "" {
		name = "WEFT_TRUST_ANCHORS_FILE"
		var err error
		if pem, err = os.ReadFile(file); err != nil {
			r.fail(name, "%v", err)
			return nil
		}
	}
	b, err := identity.ParseBundlePEM(pem)
	if err != nil {
		r.fail(name, "%v; it must hold the mesh's roots as PEM", err)
	}
	return b
}

// pairs splits a comma list of a=b.
func (r *reader) pairs(name, what string) (out [][2]string) {
	for _, p := range strings.Split(r.get(name, ""), ",") {
		if p = strings.TrimSpace(p); p == "" {
			continue
		}
		a, b, ok := strings.Cut(p, "=")
		if !ok {
			r.fail(name, "%q is not %s", p, what)
			continue
		}
		out = append(out, [2]string{a, b})
	}
	return out
}

func (r *reader) inbound() (out []InboundListener) {
	const name = "WEFT_INBOUND"
	for _, p := range r.pairs(name, "listen=application") {
		app, err := netip.ParseAddrPort(p[1])
		if err != nil {
			r.fail(name, "application %q is not address:port", p[1])
		}
		if _, err := netip.ParseAddrPort(p[0]); err != nil {
			r.fail(name, "listen address %q is not address:port", p[0])
		}
		out = append(out, InboundListener{Listen: p[0], Application: app})
	}
	return out
}

func (r *reader) upstreams() (out []UpstreamListener) {
	const name = "WEFT_UPSTREAMS"
	for _, p := range r.pairs(name, "host:port=listen") {
		if _, _, err := net.SplitHostPort(p[0]); err != nil {
			r.fail(name, "destination %q is not host:port", p[0])
		}
		if _, err := netip.ParseAddrPort(p[1]); err != nil {
			r.fail(name, "listen address %q is not address:port", p[1])
		}
		out = append(out, UpstreamListener{Destination: p[0], Listen: p[1]})
	}
	return out
}

// self is what spans tell of the workload.
func (s *Settings) self() trace.Self {
	_, name, _ := strings.Cut(s.Owner, "/")
	return trace.Self{Node: s.nodeID(), Canonical: cmp.Or(name, s.Pod), Namespace: s.Namespace}
}

// nodeID is the node of discovery (docs/xds.md, discovery).
func (s *Settings) nodeID() string {
	return fmt.Sprintf("sidecar~%s~%s.%s~%s.svc.%s", s.Address, s.Pod, s.Namespace, s.Namespace, s.ClusterDomain)
}
