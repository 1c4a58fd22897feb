package policy

import (
	"errors"
	"testing"

	"github.com/weftmesh/weft/proxy/alpn"
)

func TestDecisions(t *testing.T) {
	for _, c := range []struct {
		name   string
		port   Port
		mutual string // ALPN, or "" for plaintext
		tls    bool
		want   Action
		err    error
	}{
		{"nothing is known", Port{}, "", false, Refuse, ErrNoPolicy},
		{"nothing is known, mutual", Port{}, alpn.TCP, false, Refuse, ErrNoPolicy},
		{"strict, plaintext", Port{Strict, Detect}, "", false, Refuse, ErrPlaintext},
		{"strict, the application's TLS", Port{Strict, Detect}, "", true, Refuse, ErrPlaintext},
		{"strict, HTTP/1", Port{Strict, Detect}, alpn.HTTP1, false, ServeHTTP1, nil},
		{"strict, HTTP/2", Port{Strict, HTTP}, alpn.HTTP2, false, ServeHTTP2, nil},
		{"strict, bytes", Port{Strict, Detect}, alpn.TCP, false, Forward, nil},
		{"strict, bytes that may be HTTP", Port{Strict, HTTP}, alpn.TCP, false, ServeHTTP, nil},
		{"opaque, HTTP/1 in TLS", Port{Permissive, Opaque}, alpn.HTTP1, false, Refuse, ErrProtocol},
		{"opaque, bytes in TLS", Port{Permissive, Opaque}, alpn.TCP, false, Forward, nil},
		{"multiplexed", Port{Strict, Detect}, alpn.Mux, false, ServeMux, nil},
		{"multiplexed, no bytes", Port{Strict, HTTP}, alpn.Mux, false, ServeRequests, nil},
		{"multiplexed, bytes alone", Port{Strict, Opaque}, alpn.Mux, false, ServeBytes, nil},
		{"bytes that go on", Port{Strict, Detect}, alpn.Flow, false, Continue, nil},
		{"opaque, bytes that go on", Port{Permissive, Opaque}, alpn.Flow, false, Continue, nil},
		{"bytes that go on, on a port of requests", Port{Strict, HTTP}, alpn.Flow, false, Refuse, ErrProtocol},
		{"bytes that go on, no policy", Port{}, alpn.Flow, false, Refuse, ErrNoPolicy},
		{"unknown ALPN", Port{Permissive, HTTP}, "weft-next", false, Refuse, ErrProtocol},
		{"permissive HTTP", Port{Permissive, HTTP}, "", false, ServeHTTP, nil},
		{"permissive HTTP, TLS", Port{Permissive, HTTP}, "", true, Forward, nil},
		{"permissive, detected", Port{Permissive, Detect}, "", false, Sniff, nil},
		{"permissive, opaque", Port{Permissive, Opaque}, "", false, Forward, nil},
	} {
		got, err := c.port.Plain(c.tls)
		if c.mutual != "" {
			got, err = c.port.Mutual(c.mutual)
		}
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestPorts(t *testing.T) {
	in := &Inbound{Ports: map[uint16]Port{80: {Permissive, HTTP}}, Default: Port{Strict, Detect}}
	if in.Port(80) != (Port{Permissive, HTTP}) || in.Port(81) != (Port{Strict, Detect}) {
		t.Error("wrong port")
	}
	var none *Inbound
	if none.Port(80) != (Port{}) {
		t.Error("no policy lets something in")
	}
}
