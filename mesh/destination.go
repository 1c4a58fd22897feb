package mesh

// Destination is how clients use the endpoints of a service (DestinationRule,
// annotations of a Service). There is at most one per service, scope and
// clients; everything inherited is filled in.
type Destination struct {
	Service Ref `json:"service"`
	// Scope is the namespace whose clients it binds; empty means all others.
	Scope string `json:"scope,omitempty"`
	// Clients limits it to workloads of the scope that have these labels
	// (workloadSelector); such a Destination outranks one without.
	Clients map[string]string `json:"clients,omitempty"`
	// Policy of every port that has none of its own.
	Policy Policy `json:"policy,omitzero"`
	// Ports have a policy of their own, which replaces Policy part by part;
	// sorted by number.
	Ports []PortPolicy `json:"ports,omitempty"`
	// Subsets sorted by name.
	Subsets []Subset `json:"subsets,omitempty"`
	// Origins are the objects that it is made of, the most important first.
	Origins []Origin `json:"origins"`
}

// Subset is a named part of the endpoints, with its effective policy.
type Subset struct {
	Name string `json:"name"`
	// Labels that its endpoints have; none means all endpoints.
	Labels map[string]string `json:"labels,omitempty"`
	Policy Policy            `json:"policy,omitzero"`
	Ports  []PortPolicy      `json:"ports,omitempty"`
	Origin Origin            `json:"origin"`
}

// PortPolicy is the effective policy of one port.
type PortPolicy struct {
	Port   uint16 `json:"port"`
	Policy Policy `json:"policy"`
}

// Policy is how the endpoints of a service port, or of a subset, are used. Of
// each part nil means that nothing was said.
type Policy struct {
	Balancing *Balancing `json:"balancing,omitempty"`
	Pool      *Pool      `json:"pool,omitempty"`
	Outlier   *Outlier   `json:"outlier,omitempty"`
	Accrual   *Accrual   `json:"accrual,omitempty"`
	TLS       *ClientTLS `json:"tls,omitempty"`
	// RetryBudget limits the retries that are under way at once
	// (trafficPolicy.retryBudget).
	RetryBudget *ConcurrencyBudget `json:"retryBudget,omitempty"`
	// ProxyProtocol is 1 or 2 where connections begin with that header.
	ProxyProtocol int `json:"proxyProtocol,omitempty"`
}

// ConcurrencyBudget bounds retries by what is under way.
type ConcurrencyBudget struct {
	// Percent of the requests that are active or pending.
	Percent float64 `json:"percent"`
	// MinConcurrency is allowed in any case.
	MinConcurrency uint32 `json:"minConcurrency"`
	Origin         Origin `json:"-"`
}

// For returns the policy of a port, and of a subset where it is not empty;
// ok is false for a subset that does not exist.
func (d *Destination) For(subset string, port uint16) (policy *Policy, labels map[string]string, ok bool) {
	if d == nil {
		return &Policy{}, nil, subset == ""
	}
	base, ports := &d.Policy, d.Ports
	if subset != "" {
		s := d.Subset(subset)
		if s == nil {
			return nil, nil, false
		}
		base, ports, labels = &s.Policy, s.Ports, s.Labels
	}
	for i := range ports {
		if ports[i].Port == port {
			return &ports[i].Policy, labels, true
		}
	}
	return base, labels, true
}

// Subset returns the subset of a name, or nil.
func (d *Destination) Subset(name string) *Subset {
	if d == nil {
		return nil
	}
	for i := range d.Subsets {
		if d.Subsets[i].Name == name {
			return &d.Subsets[i]
		}
	}
	return nil
}

func (d *Destination) less(o *Destination) bool {
	switch {
	case d.Service != o.Service:
		return d.Service.Less(o.Service)
	case d.Scope != o.Scope:
		return d.Scope < o.Scope
	case len(d.Clients) != len(o.Clients):
		return len(d.Clients) > len(o.Clients)
	}
	return LabelString(d.Clients) < LabelString(o.Clients)
}
