package proxytest

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"testing"

	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/policy"
)

// TestApplicationElsewhere: connections to a port are handed to the address that
// the configuration names for its application, by the policy of the port.
func TestApplicationElsewhere(t *testing.T) {
	ca := NewCA(t)
	s := New(t, ca, ID("api"), Options{})
	at := app(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "elsewhere") })
	dialled := netip.MustParseAddrPort("192.0.2.1:80")
	l := s.Listen(func(ctx context.Context, a listen.Accepted) {
		a.Original, a.Redirected = dialled, true
		s.Inbound.Redirected(ctx, a)
	})
	get := func() (string, error) {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + l.Addr().String())
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	in := &policy.Inbound{Ports: map[uint16]policy.Port{80: {Mode: policy.Permissive}, at.Port(): {Mode: policy.Strict}}, Applications: map[uint16]netip.AddrPort{80: at}}
	s.policy.Store(in)
	if body, err := get(); err != nil || body != "elsewhere" {
		t.Fatalf("%q, %v", body, err)
	}
	strict := *in
	strict.Ports = map[uint16]policy.Port{80: {Mode: policy.Strict}, at.Port(): {Mode: policy.Permissive}}
	s.policy.Store(&strict)
	if body, err := get(); err == nil {
		t.Errorf("plaintext on a strict port: %q", body)
	}
}
