package core

import (
	"slices"
	"testing"

	"github.com/weftmesh/weft/mesh"
)

func TestProtocolOf(t *testing.T) {
	set := newPortSet(8000)
	set.names = []string{"cache"}
	for _, c := range []struct {
		app, name string
		port      uint16
		opaque    *portSet
		want      mesh.Protocol
		known     bool
	}{
		{"http", "tcp", 3306, nil, mesh.HTTP, true},
		{"HTTP", "", 80, nil, mesh.HTTP, true},
		{"kubernetes.io/h2c", "", 80, nil, mesh.HTTP2, true},
		{"kubernetes.io/ws", "", 80, nil, mesh.HTTP, true},
		{"kubernetes.io/wss", "", 80, nil, mesh.TLS, true},
		{"linkerd.io/opaque", "http", 80, nil, mesh.TCP, true},
		{"http", "", 8000, set, mesh.HTTP, true},
		{"unheard-of", "http", 80, nil, mesh.HTTP, false},
		{"unheard-of", "", 80, nil, mesh.Detect, false},
		{"", "http", 8000, set, mesh.TCP, true},
		{"", "cache", 1, set, mesh.TCP, true},
		{"", "x", 3306, set, mesh.Detect, true},
		{"", "x", 3306, nil, mesh.TCP, true},
		{"", "http-x", 3306, nil, mesh.HTTP, true},
		{"", "http", 80, nil, mesh.HTTP, true},
		{"", "http2-api", 80, nil, mesh.HTTP2, true},
		{"", "grpc-web", 80, nil, mesh.HTTP, true},
		{"", "grpc-web-x", 80, nil, mesh.HTTP, true},
		{"", "grpc-x", 80, nil, mesh.GRPC, true},
		{"", "https", 443, nil, mesh.TLS, true},
		{"", "tls-x", 443, nil, mesh.TLS, true},
		{"", "tcp-x", 80, nil, mesh.TCP, true},
		{"", "mongo", 80, nil, mesh.TCP, true},
		{"", "redis-main", 80, nil, mesh.TCP, true},
		{"", "httpx", 80, nil, mesh.Detect, true},
		{"", "web", 80, nil, mesh.Detect, true},
		{"", "", 80, nil, mesh.Detect, true},
	} {
		var app *string
		if c.app != "" {
			app = &c.app
		}
		got, known := protocolOf(app, c.name, c.port, c.opaque)
		if got != c.want || known != c.known {
			t.Errorf("appProtocol %q, name %q, port %d: got %q (known %v), want %q", c.app, c.name, c.port, got, known, c.want)
		}
	}
	for _, p := range []uint16{25, 587, 3306, 4444, 5432, 6379, 9300, 11211} {
		if got, _ := protocolOf(nil, "", p, nil); got != mesh.TCP {
			t.Errorf("port %d is %q", p, got)
		}
	}
}

func TestParsePorts(t *testing.T) {
	set, bad := parsePorts(" 25, 4000-4010 ,db,,0,70000,9-1,_x")
	if !slices.Equal(bad, []string{"0", "70000", "9-1", "_x"}) {
		t.Errorf("bad: %q", bad)
	}
	for port, want := range map[uint16]bool{25: true, 26: false, 3999: false, 4000: true, 4010: true, 4011: false} {
		if set.has(port, "") != want {
			t.Errorf("%d: %v", port, !want)
		}
	}
	if !set.has(1, "db") || set.has(1, "other") {
		t.Error("names")
	}
	if empty, bad := parsePorts(""); len(bad) != 0 || empty.has(3306, "") {
		t.Error("an empty list is no port at all")
	}
}
