package config

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/upstream"
)

// What the siblings use is known before anybody asks for it, and stays usable
// when the control plane is lost before the first request.
func TestSiblingsDestinationsAreKnownAtOnce(t *testing.T) {
	list := &listenerv3.Listener{Name: siblings, Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"weft": {Fields: map[string]*structpb.Value{"destinations": structpb.NewStringValue(apiKey + " 10.9.9.9_80 virtualInbound")}}}}}
	r := newRig(t, nil, list, tcpListener(apiKey, "db.production.svc.cluster.local:80", upstream.PassthroughCluster))
	r.until("the sibling's destination is asked for and the list given back", func() bool {
		return r.subscribed(urlListener, apiKey) && !r.subscribed(urlListener, siblings)
	})
	waittest.Until(t, "the destination to be settled", func() bool {
		r.store.mu.Lock()
		defer r.store.mu.Unlock()
		return r.store.dests[apiKey] != nil && r.store.dests[apiKey].settled
	})
	r.stop()
	waittest.Until(t, "the stream to end", func() bool { return !r.store.Connected() })
	d, err := r.destination(apiKey)
	if err != nil || d.TCP() == nil {
		t.Errorf("without a control plane: %v, %v", d, err)
	}
}
