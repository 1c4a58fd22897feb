package controltest

import (
	"context"
	"crypto/tls"
	"slices"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/control/xds"
)

// Node makes a node as our proxy has it.
func Node(userAgent, namespace, account, pod string) *corev3.Node {
	field := structpb.NewStringValue
	return &corev3.Node{
		Id:            "sidecar~127.0.0.1~" + pod + "." + namespace + "~" + namespace + ".svc.cluster.local",
		UserAgentName: userAgent,
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
			"NAMESPACE": field(namespace), "POD_NAME": field(pod), "SERVICE_ACCOUNT": field(account), "WEFT_VERSION": field("test"),
		}},
	}
}

// Delta is a client of the incremental dialect. It acknowledges what it gets
// unless told otherwise.
type Delta struct {
	t      testing.TB
	node   *corev3.Node
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel context.CancelFunc

	sendMu sync.Mutex

	mu        sync.Mutex
	changed   chan struct{}
	resources map[xds.Type]map[string]*discoveryv3.Resource
	removed   map[xds.Type]map[string]int // how often a name was removed
	responses []*discoveryv3.DeltaDiscoveryResponse
	refuse    map[xds.Type]string
	err       error

	reading sync.Mutex // held while the client does not read
}

// Delta opens a stream as a workload's proxy of the given user agent.
func (m *Mesh) Delta(userAgent, namespace, account, pod string) *Delta {
	m.t.Helper()
	return m.DeltaAs(m.Certificate(namespace, account), Node(userAgent, namespace, account, pod))
}

// DeltaAs opens a stream with a certificate, which may be nil, and a node.
func (m *Mesh) DeltaAs(cert *tls.Certificate, node *corev3.Node, opts ...grpc.DialOption) *Delta {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	m.t.Cleanup(cancel)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(m.Dial(cert, opts...)).DeltaAggregatedResources(ctx)
	d := &Delta{t: m.t, node: node, stream: stream, cancel: cancel, changed: make(chan struct{}),
		resources: map[xds.Type]map[string]*discoveryv3.Resource{}, removed: map[xds.Type]map[string]int{}, refuse: map[xds.Type]string{}}
	if d.err = err; err == nil {
		go d.receive()
	}
	return d
}

func (d *Delta) receive() {
	for {
		d.reading.Lock()
		d.reading.Unlock() //nolint:staticcheck // it only waits
		r, err := d.stream.Recv()
		d.mu.Lock()
		if err != nil {
			d.err = err
			d.wake()
			d.mu.Unlock()
			return
		}
		typ := xds.Type(r.GetTypeUrl())
		d.responses = append(d.responses, r)
		reason := d.refuse[typ]
		if reason == "" {
			d.take(typ, r)
		}
		d.wake()
		d.mu.Unlock()
		ack := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()}
		if reason != "" {
			ack.ErrorDetail = &statuspb.Status{Code: 3, Message: reason}
		}
		d.send(ack)
	}
}

func (d *Delta) take(typ xds.Type, r *discoveryv3.DeltaDiscoveryResponse) {
	if d.resources[typ] == nil {
		d.resources[typ], d.removed[typ] = map[string]*discoveryv3.Resource{}, map[string]int{}
	}
	for _, res := range r.GetResources() {
		d.resources[typ][res.GetName()] = res
	}
	for _, name := range r.GetRemovedResources() {
		delete(d.resources[typ], name)
		d.removed[typ][name]++
	}
}

// wake tells everybody who waits; the lock is held.
func (d *Delta) wake() {
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Delta) send(r *discoveryv3.DeltaDiscoveryRequest) {
	d.sendMu.Lock()
	defer d.sendMu.Unlock()
	r.Node, d.node = d.node, nil
	if d.stream != nil {
		// A broken stream shows on the receiving side.
		_ = d.stream.Send(r)
	}
}

// Send sends a request as it is, with the node if it is the first.
func (d *Delta) Send(r *discoveryv3.DeltaDiscoveryRequest) { d.send(r) }

// Subscribe asks for names.
func (d *Delta) Subscribe(t xds.Type, names ...string) {
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names})
}

// Unsubscribe gives names up, and forgets what they were.
func (d *Delta) Unsubscribe(t xds.Type, names ...string) {
	d.mu.Lock()
	for _, n := range names {
		delete(d.resources[t], n)
	}
	d.mu.Unlock()
	d.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesUnsubscribe: names})
}

// Refuse answers each response of a type with a NACK for the reason; an empty
// reason accepts again.
func (d *Delta) Refuse(t xds.Type, reason string) {
	d.mu.Lock()
	d.refuse[t] = reason
	d.mu.Unlock()
}

// Pause stops reading, after the response that is being waited for, until
// Resume; the control plane then meets flow control.
func (d *Delta) Pause() { d.reading.Lock() }

// Resume reads again.
func (d *Delta) Resume() { d.reading.Unlock() }

// Close ends the stream.
func (d *Delta) Close() { d.cancel() }

// until waits for a condition, which is asked with the lock held.
func (d *Delta) until(what string, cond func() bool) {
	d.t.Helper()
	late := time.After(Deadline)
	for {
		d.mu.Lock()
		ok, changed, err := cond(), d.changed, d.err
		d.mu.Unlock()
		if ok {
			return
		}
		if err != nil {
			d.t.Fatalf("stream ended while waiting for %s: %v", what, err)
		}
		select {
		case <-changed:
		case <-late:
			d.t.Fatalf("not within %s: %s", Deadline, what)
		}
	}
}

// Wait waits for a resource that fits, and reads it into the message.
func (d *Delta) Wait(t xds.Type, name string, into proto.Message, fits func() bool) {
	d.t.Helper()
	d.until(t.Short()+" "+name, func() bool {
		res := d.resources[t][name]
		if res == nil {
			return false
		}
		if err := res.GetResource().UnmarshalTo(into); err != nil {
			return false
		}
		return fits == nil || fits()
	})
}

// WaitRemoved waits until a name was removed at least so many times.
func (d *Delta) WaitRemoved(t xds.Type, name string, times int) {
	d.t.Helper()
	d.until(t.Short()+" "+name+" removed", func() bool { return d.removed[t][name] >= times })
}

// WaitError waits for the end of the stream and returns why.
func (d *Delta) WaitError() error {
	d.t.Helper()
	late := time.After(Deadline)
	for {
		d.mu.Lock()
		changed, err := d.changed, d.err
		d.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-late:
			d.t.Fatal("the stream did not end")
		}
	}
}

// Names are the resources of a type that the client has, sorted.
func (d *Delta) Names(t xds.Type) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for name := range d.resources[t] {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Versions are the versions of the resources of a type that the client has.
func (d *Delta) Versions(t xds.Type) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := map[string]string{}
	for name, r := range d.resources[t] {
		out[name] = r.GetVersion()
	}
	return out
}

// Responses are all responses of a type so far.
func (d *Delta) Responses(t xds.Type) []*discoveryv3.DeltaDiscoveryResponse {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []*discoveryv3.DeltaDiscoveryResponse
	for _, r := range d.responses {
		if r.GetTypeUrl() == string(t) {
			out = append(out, r)
		}
	}
	return out
}
