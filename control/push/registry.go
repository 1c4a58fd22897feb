package push

import (
	"sort"
	"strconv"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/identity"
)

// Proxy is the state of one stream, for a status page.
type Proxy struct {
	Node      string    `json:"node"`
	Identity  string    `json:"identity"`
	Namespace string    `json:"namespace"`
	Workload  string    `json:"workload,omitempty"`
	Kind      xds.Kind  `json:"kind"`
	Version   string    `json:"version,omitempty"`
	Protocol  string    `json:"protocol"`
	Connected time.Time `json:"connected"`
	// Types by their short name, such as CDS.
	Types map[string]TypeState `json:"types"`
}

// Sync says how far a client is with one type.
type Sync string

const (
	// Synced means that the last response was accepted.
	Synced Sync = "SYNCED"
	// Stale means that the last response is not answered yet.
	Stale Sync = "STALE"
	// Refused means that the last answer was a NACK; the client keeps what it
	// had of the resources in that response.
	Refused Sync = "NACKED"
	// NotSent means that there was nothing to send.
	NotSent Sync = "NOT_SENT"
)

// TypeState is how far a client is with one type.
type TypeState struct {
	State Sync `json:"state"`
	// Subscribed is the number of names asked for; Wildcard means all.
	Subscribed int  `json:"subscribed"`
	Wildcard   bool `json:"wildcard,omitempty"`
	// Held is the number of resources that the client was sent and has.
	Held int `json:"held"`
	// Sent and Acked are times of the last response and of its acceptance.
	Sent  time.Time `json:"sent,omitzero"`
	Acked time.Time `json:"acked,omitzero"`
	// Error is what the client said in its last NACK, kept until it accepts a
	// later response.
	Error string `json:"error,omitempty"`
	NACKs int    `json:"nacks,omitempty"`

	sentNonce, ackedNonce, nackedNonce uint64
}

func (t *TypeState) settle() {
	switch {
	case t.sentNonce == 0:
		t.State = NotSent
	case t.nackedNonce > t.ackedNonce:
		t.State = Refused
	case t.ackedNonce == t.sentNonce:
		t.State = Synced
	default:
		t.State = Stale
	}
}

type registry struct {
	mu      sync.Mutex
	streams map[*record]struct{}
}

// record is the registry's part of one stream.
type record struct {
	mu    sync.Mutex
	proxy Proxy
	types map[string]*TypeState
}

func (r *registry) open(n *corev3.Node, id identity.ID, c snapshot.Client, dialect string) *record {
	rec := &record{types: map[string]*TypeState{}, proxy: Proxy{
		Node: n.GetId(), Identity: id.String(), Namespace: c.Namespace, Workload: c.Workload.Name, Kind: c.Kind,
		Version: n.GetMetadata().GetFields()["WEFT_VERSION"].GetStringValue(), Protocol: dialect, Connected: time.Now(),
	}}
	r.mu.Lock()
	r.streams[rec] = struct{}{}
	r.mu.Unlock()
	return rec
}

func (r *registry) close(rec *record) {
	r.mu.Lock()
	delete(r.streams, rec)
	r.mu.Unlock()
}

func (r *registry) list() []Proxy {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Proxy, 0, len(r.streams))
	for rec := range r.streams {
		out = append(out, rec.copy())
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].Node < out[j].Node || out[i].Node == out[j].Node && out[i].Connected.Before(out[j].Connected)
	})
	return out
}

func (r *record) copy() Proxy {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.proxy
	p.Types = map[string]TypeState{}
	for t, s := range r.types {
		s.settle()
		p.Types[t] = *s
	}
	return p
}

// update changes the state of a type.
func (r *record) update(typeURL string, f func(*TypeState)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	short := xds.Type(typeURL).Short()
	if r.types[short] == nil {
		r.types[short] = &TypeState{}
	}
	f(r.types[short])
}

// answered records an ACK, or a NACK where detail is not empty. Nonces that
// were never sent are ignored.
func (r *record) answered(typeURL, nonce, detail string) {
	n, err := strconv.ParseUint(nonce, 10, 64)
	if err != nil {
		return
	}
	r.update(typeURL, func(t *TypeState) {
		switch {
		case n == 0 || n > t.sentNonce:
		case detail != "":
			t.nackedNonce, t.Error = max(t.nackedNonce, n), detail
			t.NACKs++
		default:
			t.Acked = time.Now()
			if t.ackedNonce = max(t.ackedNonce, n); t.ackedNonce > t.nackedNonce {
				t.Error = ""
			}
		}
	})
}
