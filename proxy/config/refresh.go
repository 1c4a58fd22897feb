package config

import (
	"net/netip"
	"time"

	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// tracked is a destination with what the store needs to keep it current. It is
// guarded by the store's lock.
type tracked struct {
	dest    *Destination
	settled bool          // there is an answer: err
	err     error         // nil, ErrUnknown or ErrIncomplete
	decided chan struct{} // closed when first settled
	late    bool          // somebody has waited in vain
	made    inputs        // what the content in effect was made of
	since   time.Time     // newer content has been incomplete since then; zero for not
	idle    int           // sweeps without use
}

func newTracked(name string) *tracked {
	t := &tracked{dest: newDestination(name), decided: make(chan struct{})}
	return t
}

func (t *tracked) settle(err error) {
	t.err = err
	if !t.settled {
		t.settled = true
		close(t.decided)
	}
}

// inputs is everything that a content depends on, compared by identity.
type inputs struct {
	listener *listener
	routes   *routes
	clusters map[string]*upstream.Cluster // nil where there is none
	budgets  budgets                      // the store's
}

func (a *inputs) equal(b *inputs) bool {
	if a.listener != b.listener || a.routes != b.routes || len(a.clusters) != len(b.clusters) {
		return false
	}
	for n, c := range a.clusters {
		if o, ok := b.clusters[n]; !ok || o != c {
			return false
		}
	}
	return true
}

// applied is a cluster as the registry has it.
type applied struct {
	from      *cluster
	endpoints *assignment
	handle    *upstream.Cluster
}

// builtin clusters are known without being sent.
func builtin(name string) bool {
	return name == upstream.PassthroughCluster || name == upstream.BlackHoleCluster || name == invalidBackend
}

// subscribe derives what is needed from what has arrived: each resource names
// the next ones. It is called with the lock.
func (s *Store) subscribe() {
	ls := map[string]bool{virtualInbound: true, virtualOutbound: true, siblings: !s.prewarmed}
	rs, cs, es := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, t := range s.dests {
		ls[name] = true
		// What is in effect is kept until its successor is complete.
		if t.made.listener != nil {
			addNames(t.made.listener, rs, cs)
			t.made.routes.clusterNames(cs)
		}
		if l, a := s.listeners.get(name); a == present {
			addNames(l, rs, cs)
		}
	}
	for name := range rs {
		if r, a := s.routes.get(name); a == present {
			r.clusterNames(cs)
		}
	}
	for name := range cs {
		if c, a := s.clusters.get(name); a == present && c.eds != "" {
			es[c.eds] = true
		}
	}
	s.listeners.want(ls)
	s.routes.want(rs)
	s.clusters.want(cs)
	s.endpoints.want(es)
	s.secrets.want(map[string]bool{rootCA: true})
	s.kick()
}

// addNames adds what a listener names.
func addNames(l *listener, rs, cs map[string]bool) {
	if l.http != nil {
		if l.http.route != "" {
			rs[l.http.route] = true
		}
		l.http.inline.clusterNames(cs)
	}
	if l.tcp != nil {
		addClusters(cs, l.tcp.shares)
	}
	for i := range l.special {
		addClusters(cs, l.special[i].tcp.shares)
	}
}

func addClusters(cs map[string]bool, shares []share) {
	for i := range shares {
		if n := shares[i].cluster; !builtin(n) {
			cs[n] = true
		}
	}
}

func (r *routes) clusterNames(cs map[string]bool) {
	if r == nil {
		return
	}
	for i := range r.rules {
		addClusters(cs, r.rules[i].shares)
		if t := r.rules[i].traffic; t != nil {
			for j := range t.Mirrors {
				if n := t.Mirrors[j].Name; !builtin(n) {
					cs[n] = true
				}
			}
		}
	}
}

// refresh brings everything in effect up to what has arrived. It is called
// with the lock, and does nothing where nothing changed.
func (s *Store) refresh() {
	s.essentials()
	s.prewarm()
	s.subscribe()
	s.applyClusters()
	for name, t := range s.dests {
		s.update(name, t)
	}
	s.subscribe() // what was just replaced may name what is no longer needed
	s.dropClusters()
	s.prune()
}

// essentials takes over what every proxy has. None of it is ever taken back.
func (s *Store) essentials() {
	in, haveIn := s.listeners.get(virtualInbound)
	if haveIn == present && s.inbound.Load() != in.inbound {
		s.inbound.Store(in.inbound)
	}
	out, haveOut := s.listeners.get(virtualOutbound)
	if haveOut == present {
		s.fate.Store(uint32(out.fate))
	}
	b, haveRoots := s.secrets.get(rootCA)
	if haveRoots == present && !b.Equal(s.trusted) {
		s.trusted = b
		if s.opts.Roots != nil {
			s.opts.Roots(b)
		}
	}
	if !s.isReady && haveIn == present && haveOut == present && haveRoots == present {
		s.isReady = true
		close(s.ready)
	}
}

// applyClusters brings the registry up to date, for wanted clusters.
func (s *Store) applyClusters() {
	for name, e := range s.clusters.entries {
		if !e.wanted || e.answer != present {
			continue
		}
		a := s.applied[name]
		if a == nil {
			a = &applied{}
			s.applied[name] = a
		}
		c := e.value
		if a.from != c {
			a.handle = s.opts.Registry.Apply(c.spec)
			if c.eds == "" && c.spec.Kind == upstream.Pushed {
				s.opts.Registry.Assign(name, upstream.Assignment{Endpoints: c.static, Overprovisioning: c.overprovisioning})
			}
			a.from = c
		}
		if c.eds == "" {
			a.endpoints = nil
			continue
		}
		switch v, answer := s.endpoints.get(c.eds); {
		case answer == present && a.endpoints != v:
			s.opts.Registry.Assign(name, upstream.Assignment{Endpoints: v.endpoints, Overprovisioning: v.overprovisioning})
			a.endpoints = v
		case answer == absent && a.endpoints != noEndpoints:
			s.opts.Registry.SetEndpoints(name, nil)
			a.endpoints = noEndpoints
		}
	}
}

// noEndpoints stands for an assignment that does not exist.
var noEndpoints = &assignment{}

// dropClusters removes from the registry what nothing in effect uses.
func (s *Store) dropClusters() {
	for name := range s.applied {
		if e := s.clusters.entries[name]; e == nil || !e.wanted || e.answer == absent {
			s.opts.Registry.Remove(name)
			delete(s.applied, name)
		}
	}
}

// update makes new content for a destination where there is reason to. Content
// takes effect when all that it names has arrived, or has been missing for
// half of Options.Wait; until then the old one stays.
func (s *Store) update(name string, t *tracked) {
	l, answer := s.listeners.get(name)
	switch answer {
	case asked:
		if e := s.listeners.entries[name]; e != nil && e.refused != "" {
			t.settle(ErrIncomplete)
		}
		return
	case absent:
		if t.made.listener != nil {
			t.dest.stale.Store(true)
			t.dest, t.made = newDestination(name), inputs{}
		}
		t.since = time.Time{}
		t.settle(ErrUnknown)
		return
	}
	in, missing, fatal := s.gather(l)
	if in.equal(&t.made) {
		t.since = time.Time{}
		return
	}
	if fatal {
		// Without routes there is nothing to put in effect.
		if t.made.listener == nil && s.overdue(t) {
			t.settle(ErrIncomplete)
		}
		return
	}
	if missing && !s.overdue(t) {
		return
	}
	st, err := compile(&in)
	if err != nil {
		// Decoding has checked all that compilation does.
		s.log.Error("configuration refused late", "destination", name, "error", err)
		t.settle(ErrIncomplete)
		return
	}
	t.dest.state.Store(st)
	t.made, t.since = in, time.Time{}
	t.settle(nil)
}

// overdue says whether newer content has been incomplete for long enough: half
// of what a caller waits, so that it still gets what there is. The first time
// it asks to be called again then.
func (s *Store) overdue(t *tracked) bool {
	limit := s.opts.Wait / 2
	if t.since.IsZero() {
		t.since = time.Now()
		time.AfterFunc(limit, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refresh()
		})
	}
	return time.Since(t.since) >= limit
}

// gather collects the inputs of a listener. missing says that something that
// it names has not arrived yet, fatal that this is its routes.
func (s *Store) gather(l *listener) (in inputs, missing, fatal bool) {
	in = inputs{listener: l, clusters: map[string]*upstream.Cluster{}, budgets: s.budgets}
	if l.http != nil {
		if in.routes = l.http.inline; in.routes == nil {
			r, answer := s.routes.get(l.http.route)
			if answer != present {
				return in, true, true
			}
			in.routes = r
		}
	}
	names := map[string]bool{}
	addNames(l, map[string]bool{}, names)
	in.routes.clusterNames(names)
	for n := range names {
		c, answer := s.clusters.get(n)
		switch {
		case answer == asked:
			missing = true
			in.clusters[n] = nil
		case answer == absent:
			in.clusters[n] = nil
		default:
			a := s.applied[n]
			in.clusters[n] = a.handle
			if c.eds != "" && a.endpoints == nil {
				missing = true
			}
		}
	}
	return in, missing, false
}

// compile turns inputs into the leaves' types.
func compile(in *inputs) (*destState, error) {
	l := in.listener
	st := &destState{protocol: l.protocol}
	if l.tcp != nil {
		st.name = l.tcp.stat
		sp, err := connections(in, l)
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
	}
	if st.name == "" {
		st.name = l.name
	}
	return st, nil
}

// connections is the choice for connections without HTTP.
func connections(in *inputs, l *listener) (*route.Split, error) {
	split := func(t *tcpProxy) (*route.Split, error) {
		s, err := route.NewSplit(backends(in, t.shares))
		if err == nil {
			s.Idle, s.BySource = t.idle, t.bySource
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
