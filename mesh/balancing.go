package mesh

import (
	"sort"
	"strings"
)

// Balancing is how requests spread over endpoints (trafficPolicy.loadBalancer).
type Balancing struct {
	// Algorithm is empty where Hash decides, or where nothing was said.
	Algorithm Balance             `json:"algorithm,omitempty"`
	Hash      *Hash               `json:"hash,omitempty"`
	Locality  *LocalityPreference `json:"locality,omitempty"`
	// WarmUp lets the share of a new endpoint grow (warmup, warmupDurationSecs).
	WarmUp *WarmUp `json:"warmUp,omitempty"`
	Origin Origin  `json:"origin"`
}

// Balance is a load-balancing algorithm.
type Balance string

const (
	// BalanceDefault leaves the choice to the proxy: peak EWMA for HTTP,
	// least connections for TCP.
	BalanceDefault Balance = ""
	// PeakEWMA is power of two choices by moving-average latency times load.
	PeakEWMA Balance = "PEAK_EWMA"
	// LeastRequest is power of two choices by requests under way.
	LeastRequest Balance = "LEAST_REQUEST"
	// RoundRobin takes endpoints in turn.
	RoundRobin Balance = "ROUND_ROBIN"
	// Random takes any.
	Random Balance = "RANDOM"
	// Passthrough keeps the original destination.
	Passthrough Balance = "PASSTHROUGH"
)

// Hash sends what has the same key to the same endpoint (consistentHash). One
// of the four keys is given.
type Hash struct {
	Header   string      `json:"header,omitempty"`
	Cookie   *HashCookie `json:"cookie,omitempty"`
	SourceIP bool        `json:"sourceIP,omitempty"`
	Query    string      `json:"query,omitempty"`
	// Maglev in place of a ring. TableSize is its own, MinRing the ring's; 0
	// means the defaults, 65537 and 1024.
	Maglev    bool   `json:"maglev,omitempty"`
	TableSize uint64 `json:"tableSize,omitempty"`
	MinRing   uint64 `json:"minRing,omitempty"`
}

// HashCookie is a cookie as a key.
type HashCookie struct {
	Name string `json:"name"`
	Path string `json:"path,omitempty"`
	// TTL lets the proxy make the cookie where it is missing; 0 makes it end
	// with the session, nil makes none.
	TTL *Duration `json:"ttl,omitempty"`
	// Attributes are added to the cookie that the proxy makes.
	Attributes []Header `json:"attributes,omitempty"`
}

// WarmUp is a slow start.
type WarmUp struct {
	Duration Duration `json:"duration"`
	// MinimumPercent of the full share at the beginning; 0 means 10.
	MinimumPercent float64 `json:"minimumPercent,omitempty"`
	// Aggression shapes the growth; 0 means 1, which is linear.
	Aggression float64 `json:"aggression,omitempty"`
}

// LocalityPreference keeps requests near (localityLbSetting). At most one of
// the three lists is given.
type LocalityPreference struct {
	Disabled bool `json:"disabled,omitempty"`
	// Distribute gives fixed shares to localities, by where the client is.
	Distribute []LocalityShares `json:"distribute,omitempty"`
	// Failover names the region that takes over for one.
	Failover []LocalityFailover `json:"failover,omitempty"`
	// FailoverPriority are labels, or label=value, of which endpoints that
	// share more of the first with the client are preferred.
	FailoverPriority []string `json:"failoverPriority,omitempty"`
	// ZoneAware keeps requests in the client's region, whose zones share them so
	// that all endpoints get the same and each zone keeps what it can. Failover then
	// orders other regions, below FailoverPriority. Nil means that nothing was said.
	ZoneAware *ZoneAware `json:"zoneAware,omitempty"`
}

// ZoneAware is zoneAwareLbSetting.
type ZoneAware struct {
	// MinSize is below how many endpoints zones make no difference; 0 means 6.
	MinSize uint32 `json:"minSize,omitempty"`
}

// LocalityShares are weights by locality (region/zone/subzone, a * at the end
// for all below); they sum to 100.
type LocalityShares struct {
	From string            `json:"from"`
	To   map[string]uint32 `json:"to"`
}

// LocalityFailover is a region and the one that takes over.
type LocalityFailover struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// LabelString is a canonical form of labels, such as a=1,b=2.
func LabelString(labels map[string]string) string {
	if len(labels) == 0 {
		return ""
	}
	list := make([]string, 0, len(labels))
	for k, v := range labels {
		list = append(list, k+"="+v)
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}
