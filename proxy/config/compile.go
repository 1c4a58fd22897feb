package config

import (
	"net/netip"
	"time"

	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
)

// compile turns inputs into the leaves' types.
func compile(in *inputs, o *Options) (*destState, error) {
	l := in.listener
	st := &destState{protocol: l.protocol, byName: l.byName}
	if l.tcp != nil {
		st.name = l.tcp.stat
		sp, err := connections(in, l, o)
		if err != nil {
			return nil, err
		}
		st.tcp = sp
	}
	if l.http != nil {
		st.name = l.http.stat
		rules := make([]*route.Rule, 0, len(in.routes.rules))
		for i := range in.routes.rules {
			u := &in.routes.rules[i]
			spec := u.spec()
			spec.Backends, spec.Traffic = backends(in, u.shares), traffic(in, u)
			r, err := route.NewRule(spec)
			if err != nil {
				return nil, at("routes["+itoa(i)+"]", err)
			}
			rules = append(rules, r)
		}
		st.routes = route.NewTable(in.routes.name, rules)
		st.routes.Log = l.http.logs.open(o)
		st.routes.Trace = l.http.trace.open(o, nil)
	}
	if st.name == "" {
		st.name = l.name
	}
	return st, nil
}

// connections is the choice for connections without HTTP.
func connections(in *inputs, l *listener, o *Options) (*route.Split, error) {
	split := func(t *tcpProxy) (*route.Split, error) {
		s, err := route.NewSplit(backends(in, t.shares))
		if err == nil {
			s.Idle, s.BySource, s.Log = t.idle, t.bySource, t.logs.open(o)
		}
		return s, err
	}
	rest, err := split(l.tcp)
	if err != nil || len(l.special) == 0 {
		return rest, err
	}
	var list []route.Exception
	for i := range l.special {
		c := &l.special[i]
		s, err := split(c.tcp)
		if err != nil {
			return nil, at("filter_chains", err)
		}
		names, subnets := c.names, c.subnets
		if names == nil {
			names = []string{""}
		}
		if subnets == nil {
			subnets = []netip.Prefix{{}}
		}
		for _, n := range names {
			for _, p := range subnets {
				list = append(list, route.Exception{Name: n, TLS: c.transport == tlsProto, To: p, Split: s})
			}
		}
	}
	return rest.Except(list), nil
}

// Statuses of backends without a cluster.
const (
	statusInvalid = 500 // the backend cannot be used
	statusUnknown = 503 // the cluster does not exist (yet)
)

func backends(in *inputs, shares []share) []route.Backend {
	var out []route.Backend
	for i := range shares {
		s := &shares[i]
		b := route.Backend{Name: s.cluster, Weight: s.weight, Headers: s.headers, Host: s.host}
		switch {
		case s.cluster == invalidBackend:
			b.Status = statusInvalid
		case in.clusters[s.cluster] != nil:
			b.Cluster = in.clusters[s.cluster]
		default:
			b.Status = statusUnknown
		}
		out = append(out, b)
	}
	return out
}

// traffic is what a rule asks for, with the clusters and the budget that it
// names.
func traffic(in *inputs, u *rule) *route.Traffic {
	t := u.traffic
	if t == nil || len(t.Mirrors) == 0 && u.budget == (budgetSpec{}) {
		return t
	}
	own := *t
	own.Mirrors = append([]route.Mirror(nil), t.Mirrors...)
	for i := range own.Mirrors {
		own.Mirrors[i].Cluster = in.clusters[own.Mirrors[i].Name]
	}
	if u.budget != (budgetSpec{}) && in.budgets != nil {
		own.Budget = in.budgets.get(in.routes.name, u.budget)
	}
	return &own
}

// budgets are the retry budgets in use. They outlive a configuration that says
// the same again, so that a push does not fill them.
type budgets map[string]map[budgetSpec]*retry.Budget

func (b budgets) get(routes string, s budgetSpec) *retry.Budget {
	m := b[routes]
	if m == nil {
		m = map[budgetSpec]*retry.Budget{}
		b[routes] = m
	}
	if m[s] == nil {
		m[s] = retry.NewBudget(s.ratio, s.min, s.ttl, time.Now())
	}
	return m[s]
}

// prune forgets the budgets of routes that nobody wants any more.
func (s *Store) prune() {
	for name := range s.budgets {
		if e := s.routes.entries[name]; e == nil || !e.wanted {
			delete(s.budgets, name)
		}
	}
}
