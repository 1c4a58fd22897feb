package config

import (
	"encoding/json"
	"io"
	"strings"

	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// The dump is what is in effect, as JSON.
type dump struct {
	Node      string         `json:"node"`
	Connected bool           `json:"connected"`
	Ready     bool           `json:"ready"`
	Refused   uint64         `json:"refusedResponses"`
	Roots     string         `json:"trustBundle,omitempty"` // fingerprint
	Unknown   string         `json:"unknownDestinations"`
	Inbound   *dumpInbound   `json:"inbound,omitempty"`
	Listeners []dumpListener `json:"listeners"`
	Routes    []dumpTable    `json:"routes"`
	Clusters  []dumpCluster  `json:"clusters"`
}

type dumpInbound struct {
	Default dumpPort            `json:"default"`
	Ports   map[uint16]dumpPort `json:"ports,omitempty"`
}

type dumpPort struct {
	Mode     string `json:"mtls"`
	Protocol string `json:"protocol"`
}

type dumpListener struct {
	Name     string      `json:"name"`
	State    string      `json:"state"`
	Refused  string      `json:"refused,omitempty"`
	Version  string      `json:"version,omitempty"`
	Service  string      `json:"destination,omitempty"`
	Protocol string      `json:"protocol,omitempty"`
	Routes   string      `json:"routes,omitempty"`
	TCP      []dumpShare `json:"tcp,omitempty"`
	// HTTPHosts and TLSHosts are the names by which others are found.
	HTTPHosts []string `json:"httpHosts,omitempty"`
	TLSHosts  []string `json:"tlsHosts,omitempty"`
	// Special are the connections that go elsewhere than TCP, most exact first.
	Special []dumpSpecial `json:"tcpRules,omitempty"`
}

type dumpSpecial struct {
	Match    string      `json:"match"`
	Backends []dumpShare `json:"backends"`
}

type dumpTable struct {
	Name  string     `json:"name"`
	Rules []dumpRule `json:"rules"`
}

type dumpRule struct {
	Name     string      `json:"name,omitempty"`
	Origin   string      `json:"origin,omitempty"`
	Match    string      `json:"match"`
	Backends []dumpShare `json:"backends"`
	Policies []string    `json:"policies,omitempty"`
}

type dumpShare struct {
	Cluster string `json:"cluster,omitempty"`
	Weight  uint32 `json:"weight"`
	Status  int    `json:"status,omitempty"`
}

type dumpCluster struct {
	Name      string         `json:"name"`
	Kind      string         `json:"kind"`
	Policy    string         `json:"policy"`
	Timeout   string         `json:"connectTimeout"`
	Host      string         `json:"host,omitempty"`
	Settings  []string       `json:"settings,omitempty"`
	Refused   string         `json:"refused,omitempty"`
	Counters  dumpCounters   `json:"counters"`
	Endpoints []dumpEndpoint `json:"endpoints"`
}

type dumpCounters struct {
	Connections int64  `json:"connections"`
	Pending     int64  `json:"pending"`
	Requests    int64  `json:"requests"`
	Retries     int64  `json:"retries"`
	Ejected     int    `json:"ejected"`
	Ejections   uint64 `json:"ejections"`
	Connected   uint64 `json:"connected"`
	Failed      uint64 `json:"connectFailed"`
	// What was refused for want of room.
	ConnectionOverflow uint64 `json:"connectionOverflow"`
	PendingOverflow    uint64 `json:"pendingOverflow"`
	RequestOverflow    uint64 `json:"requestOverflow"`
	RetryOverflow      uint64 `json:"retryOverflow"`
}

type dumpEndpoint struct {
	Address  string `json:"address"`
	Identity string `json:"identity,omitempty"`
	Workload string `json:"workload,omitempty"`
	Zone     string `json:"zone,omitempty"`
	Weight   uint32 `json:"weight"`
	Draining bool   `json:"draining,omitempty"`
	Priority uint32 `json:"priority,omitempty"`
	// Health is in, out, probation, probe or unhealthy.
	Health  string  `json:"health"`
	Active  int64   `json:"active"`
	Latency float64 `json:"latencyMillis,omitempty"` // estimate
}

// Dump writes what is in effect as JSON: listeners, routes, clusters and their
// endpoints, with what was refused and why.
func (s *Store) Dump(w io.Writer) error {
	d := s.dump()
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(d)
}

func (s *Store) dump() *dump {
	refused := s.Refused()
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &dump{Node: s.opts.Node.ID, Connected: s.up, Ready: s.isReady, Refused: refused, Unknown: s.Unknown().String(),
		Listeners: []dumpListener{}, Routes: []dumpTable{}, Clusters: []dumpCluster{}}
	if s.trusted != nil {
		d.Roots = s.trusted.Fingerprint()
	}
	if in := s.inbound.Load(); in != nil {
		d.Inbound = &dumpInbound{Default: dumpPort{in.Default.Mode.String(), in.Default.Protocol.String()}, Ports: map[uint16]dumpPort{}}
		for n, p := range in.Ports {
			d.Inbound.Ports[n] = dumpPort{p.Mode.String(), p.Protocol.String()}
		}
	}
	tables := map[string]*route.Table{}
	for _, name := range sorted(s.listeners.entries) {
		e := s.listeners.entries[name]
		l := dumpListener{Name: name, State: [...]string{"asked", "present", "absent"}[e.answer], Refused: e.refused, Version: e.version}
		if t := s.dests[name]; t != nil && t.made.listener != nil {
			st := t.dest.state.Load()
			l.Service, l.Protocol, l.TCP = st.name, st.protocol.String(), dumpShares(st.tcp.Backends())
			for _, e := range st.tcp.Exceptions() {
				l.Special = append(l.Special, dumpSpecial{e.String(), dumpShares(e.Split.Backends())})
			}
			if n := st.byName; n != nil {
				l.HTTPHosts, l.TLSHosts = n.HTTP.Hosts(), n.TLS.Hosts()
			}
			if st.routes != nil {
				l.Routes = st.routes.Name
				tables[l.Routes] = st.routes
			}
		}
		d.Listeners = append(d.Listeners, l)
	}
	for _, name := range sorted(tables) {
		t := dumpTable{Name: name, Rules: []dumpRule{}}
		for _, r := range tables[name].Rules {
			t.Rules = append(t.Rules, dumpRule{r.Name, r.Origin, r.Matches().String(), dumpShares(r.Backends()), shortPolicies(r)})
		}
		d.Routes = append(d.Routes, t)
	}
	for _, c := range s.opts.Registry.Clusters() {
		d.Clusters = append(d.Clusters, s.dumpCluster(c))
	}
	return d
}

func dumpShares(bs []route.Backend) []dumpShare {
	var out []dumpShare
	for i := range bs {
		out = append(out, dumpShare{bs[i].Name, bs[i].Weight, bs[i].Status})
	}
	return out
}

func (s *Store) dumpCluster(c *upstream.Cluster) dumpCluster {
	sp := c.Spec()
	out := dumpCluster{Name: sp.Name, Timeout: sp.ConnectTimeout.String(), Endpoints: []dumpEndpoint{},
		Kind:   [...]string{"EDS", "LOGICAL_DNS", "ORIGINAL_DST", "BLACK_HOLE"}[sp.Kind],
		Policy: sp.Balance.Algorithm.String(), Settings: shortSettings(&sp)}
	if sp.Host != "" {
		out.Host = sp.Host + ":" + itoa(int(sp.Port))
	}
	var why []string
	if e := s.clusters.entries[sp.Name]; e != nil && e.refused != "" {
		why = append(why, e.refused)
	}
	if a := s.applied[sp.Name]; a != nil && a.from.eds != "" {
		if e := s.endpoints.entries[a.from.eds]; e != nil && e.refused != "" {
			why = append(why, e.refused)
		}
	}
	out.Refused = strings.Join(why, "; ")
	for _, e := range c.Endpoints() {
		p := e.Spec()
		out.Endpoints = append(out.Endpoints, dumpEndpoint{Address: p.Address.String(), Identity: p.Identity.String(), Workload: p.Workload,
			Zone: p.Zone, Weight: p.Weight, Draining: p.Draining, Priority: p.Priority, Health: e.Health(), Active: e.Active(),
			Latency: float64(e.Latency().Microseconds()) / 1000})
		if p.Unhealthy {
			out.Endpoints[len(out.Endpoints)-1].Health = "unhealthy"
		}
	}
	n := c.Counters()
	out.Counters = dumpCounters{Connections: n.Connections, Pending: n.Pending, Requests: n.Requests, Retries: n.Retries, Ejected: n.Ejected,
		Ejections: n.Ejections, Connected: n.Connected, Failed: n.ConnectFailed, ConnectionOverflow: n.ConnectionOverflow,
		PendingOverflow: n.PendingOverflow, RequestOverflow: n.RequestOverflow, RetryOverflow: n.RetryOverflow}
	return out
}
