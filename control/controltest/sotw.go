package controltest

import (
	"context"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/weftmesh/weft/control/xds"
)

// World is a client of the state-of-the-world dialect that acknowledges what it
// gets.
type World struct {
	t      testing.TB
	m      *Mesh
	stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	send   sync.Mutex
	first  *discoveryv3.DiscoveryRequest

	mu        sync.Mutex
	names     map[string][]string
	last      map[string]*discoveryv3.DiscoveryResponse
	responses []*discoveryv3.DiscoveryResponse
	refuse    string
}

// World opens a stream as a workload's proxy of the given user agent.
func (m *Mesh) World(userAgent, namespace, account, pod string) *World {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m.t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(m.Dial(m.Certificate(namespace, account))).StreamAggregatedResources(ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	w := &World{t: m.t, m: m, stream: stream, names: map[string][]string{}, last: map[string]*discoveryv3.DiscoveryResponse{},
		first: &discoveryv3.DiscoveryRequest{Node: Node(userAgent, namespace, account, pod)}}
	go w.receive()
	return w
}

func (w *World) receive() {
	for {
		r, err := w.stream.Recv()
		if err != nil {
			return
		}
		w.mu.Lock()
		w.responses = append(w.responses, r)
		refuse := w.refuse
		if refuse == "" {
			w.last[r.GetTypeUrl()] = r
		}
		ack := &discoveryv3.DiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(), VersionInfo: r.GetVersionInfo(), ResourceNames: w.names[r.GetTypeUrl()]}
		w.mu.Unlock()
		if refuse != "" {
			ack.ErrorDetail = &statuspb.Status{Code: 3, Message: refuse}
		}
		w.request(ack)
	}
}

func (w *World) request(r *discoveryv3.DiscoveryRequest) {
	w.send.Lock()
	defer w.send.Unlock()
	if w.first != nil {
		r.Node, w.first = w.first.GetNode(), nil
	}
	// A broken stream shows on the receiving side.
	_ = w.stream.Send(r)
}

// Ask replaces the names of a type; none means all.
func (w *World) Ask(t xds.Type, names ...string) {
	w.mu.Lock()
	w.names[string(t)] = names
	r := &discoveryv3.DiscoveryRequest{TypeUrl: string(t), ResourceNames: names}
	if last := w.last[string(t)]; last != nil {
		r.ResponseNonce, r.VersionInfo = last.GetNonce(), last.GetVersionInfo()
	}
	w.mu.Unlock()
	w.request(r)
}

// Refuse answers everything with a NACK for the reason; an empty one accepts.
func (w *World) Refuse(reason string) {
	w.mu.Lock()
	w.refuse = reason
	w.mu.Unlock()
}

// Wait waits until the last response of a type that was accepted fits.
func (w *World) Wait(t xds.Type, what string, fits func(*discoveryv3.DiscoveryResponse) bool) {
	w.t.Helper()
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(Deadline); ; <-again.C {
		w.mu.Lock()
		r := w.last[string(t)]
		w.mu.Unlock()
		if r != nil && fits(r) {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("not within %s: %s", Deadline, what)
		}
	}
}

// Responses counts the responses of a type.
func (w *World) Responses(t xds.Type) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, r := range w.responses {
		if r.GetTypeUrl() == string(t) {
			n++
		}
	}
	return n
}
