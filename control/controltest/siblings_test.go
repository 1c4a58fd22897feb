package controltest_test

import (
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/weftmesh/weft/control/controltest"
	"github.com/weftmesh/weft/control/xds"
)

func destinations(l *listenerv3.Listener) string {
	return l.GetMetadata().GetFilterMetadata()["weft"].GetFields()["destinations"].GetStringValue()
}

// A new proxy is told what others of its workload use, and nobody else's.
func TestNewProxyIsToldWhatItsSiblingsUse(t *testing.T) {
	m := controltest.Start(t, files())
	var l listenerv3.Listener
	first := m.Delta("weft-proxy", "default", "web", "web-0")
	first.Subscribe(xds.ListenerType, xds.VirtualOutbound, xds.Siblings)
	first.WaitRemoved(xds.ListenerType, xds.Siblings, 1)
	first.Subscribe(xds.ListenerType, "10.96.0.1_80", "10.96.0.99_80")
	first.Wait(xds.ListenerType, "10.96.0.1_80", &l, nil)

	second := m.Delta("weft-proxy", "default", "web", "web-1")
	second.Subscribe(xds.ListenerType, xds.VirtualOutbound, xds.Siblings)
	second.Wait(xds.ListenerType, xds.Siblings, &l, nil)
	if got, want := destinations(&l), "10.96.0.1_80 10.96.0.99_80"; got != want {
		t.Errorf("told of %q, want %q", got, want)
	}
	stranger := m.Delta("weft-proxy", "default", "db", "db-0")
	stranger.Subscribe(xds.ListenerType, xds.Siblings)
	stranger.WaitRemoved(xds.ListenerType, xds.Siblings, 1)

	// The workload's only instance finds it again when it is restarted.
	first.Close()
	second.Close()
	third := m.Delta("weft-proxy", "default", "web", "web-2")
	third.Subscribe(xds.ListenerType, xds.Siblings)
	third.Wait(xds.ListenerType, xds.Siblings, &l, nil)
	if got, want := destinations(&l), "10.96.0.1_80 10.96.0.99_80"; got != want {
		t.Errorf("told of %q after a restart, want %q", got, want)
	}
}
