package filter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/http"
)

// fields reads "Name: value" lines.
func fields(lines ...string) []http.Field {
	var f []http.Field
	for _, l := range lines {
		n, v, _ := strings.Cut(l, ": ")
		f = append(f, http.Field{Name: []byte(n), Value: []byte(v)})
	}
	return f
}

func lines(f []http.Field) string {
	var out []string
	for _, x := range f {
		out = append(out, fmt.Sprintf("%s: %s", x.Name, x.Value))
	}
	return strings.Join(out, "; ")
}

func TestHeaderOps(t *testing.T) {
	h := func(n, v string) Header { return Header{n, v} }
	for _, c := range []struct {
		ops      HeaderOps
		in, want string
	}{
		{NewHeaderOps(nil, nil, nil), "A: 1", "A: 1"},
		{NewHeaderOps([]Header{h("a", "2")}, nil, nil), "A: 1; B: 1; a: 3", "a: 2; B: 1"},
		{NewHeaderOps([]Header{h("a", "2")}, nil, nil), "B: 1", "B: 1; a: 2"},
		{NewHeaderOps(nil, []Header{h("a", "2"), h("a", "3")}, nil), "A: 1", "A: 1; a: 2; a: 3"},
		{NewHeaderOps(nil, nil, []string{"A", "c"}), "a: 1; B: 1; A: 2; C: 3", "B: 1"},
		{NewHeaderOps([]Header{h("a", "2")}, []Header{h("b", "2")}, []string{"a", "b"}), "A: 1; B: 1", "a: 2; b: 2"},
	} {
		r := http.Response{Fields: fields(strings.Split(c.in, "; ")...)}
		c.ops.Response(&r, nil)
		if got := lines(r.Fields); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
	host := NewHeaderOps([]Header{h("Host", "other")}, []Header{h("Host", "second")}, nil)
	r := http.Request{Authority: []byte("api"), Fields: fields("A: 1")}
	host.Request(&r, nil)
	if string(r.Authority) != "other" || lines(r.Fields) != "A: 1" {
		t.Errorf("host: %s, %s", r.Authority, lines(r.Fields))
	}
}

func TestOrder(t *testing.T) {
	step := func(v string) *Step {
		ops := NewHeaderOps(nil, []Header{{"x", v}}, nil)
		return &Step{Request: ops, Response: ops}
	}
	req := http.Request{Fields: fields("l5d-client-id: forged", "A: 1")}
	OutboundRequest(&req, nil, step("route"), step("backend"), nil)
	if got := lines(req.Fields); got != "A: 1; x: route; x: backend" {
		t.Errorf("outbound request: %s", got)
	}
	resp := http.Response{Fields: fields("Weft-Proxy-Error: connect", "weft-unprocessed: 1", "A: 1")}
	v := OutboundResponse(&resp, true, step("route"), step("backend"), nil)
	if got := lines(resp.Fields); got != "A: 1; x: backend; x: route" || v != (Verdict{ProxyMade: true, Unprocessed: true}) {
		t.Errorf("outbound response: %s %+v", got, v)
	}
	req = http.Request{Fields: fields("L5d-Client-Id: forged", "weft-proxy-error: x", "A: 1", "weft-unprocessed: 1")}
	id := identity.ID{TrustDomain: "cluster.local", Namespace: "production", ServiceAccount: "web"}
	InboundRequest(&req, ClientID(id, "weft-system"))
	if got := lines(req.Fields); got != "A: 1; l5d-client-id: web.production.serviceaccount.identity.weft-system.cluster.local" {
		t.Errorf("inbound request: %s", got)
	}
	req = http.Request{Fields: fields("l5d-client-id: forged")}
	InboundRequest(&req, ClientID(identity.ID{}, "weft-system"))
	if len(req.Fields) != 0 {
		t.Errorf("without a peer: %s", lines(req.Fields))
	}
}

// Who is not known by a certificate cannot say whose certificate he has seen.
func TestForwardedClientCert(t *testing.T) {
	client := ClientID(identity.ID{TrustDomain: "cluster.local", Namespace: "edge", ServiceAccount: "gateway"}, "weft-system")
	for _, name := range []string{"x-forwarded-client-cert", "X-Forwarded-Client-Cert", "X_Forwarded_Client_Cert"} {
		for _, c := range []struct {
			client []byte
			want   string
		}{{nil, "A: 1; B: 2"}, {client, "A: 1; " + name + ": URI=spiffe://x; B: 2; l5d-client-id: " + string(client)}} {
			r := http.Request{Fields: fields("A: 1", name+": URI=spiffe://x", "B: 2")}
			if InboundRequest(&r, c.client); lines(r.Fields) != c.want {
				t.Errorf("client %q: %s", c.client, lines(r.Fields))
			}
		}
		r := http.Request{Fields: fields(name + ": x")}
		if OutboundRequest(&r, nil, nil, nil, nil); len(r.Fields) != 1 {
			t.Errorf("%s: outbound request: %s", name, lines(r.Fields))
		}
		if got := Trailers(fields("A: 1", name+": x")); lines(got) != "A: 1" {
			t.Errorf("%s: trailers: %s", name, lines(got))
		}
	}
}

func TestVerdictsAreBelievedOnMutualTLSOnly(t *testing.T) {
	made := func(unprocessed bool) []http.Field {
		var r http.Response
		Failure(&r, "connect failed", unprocessed)
		return r.Fields
	}
	for _, c := range []struct {
		fields []http.Field
		mutual bool
		want   Verdict
	}{
		{made(true), true, Verdict{ProxyMade: true, Unprocessed: true}},
		{made(false), true, Verdict{ProxyMade: true, Unprocessed: false}},
		{made(true), false, Verdict{}},
		{fields("weft-proxy-error: reset"), true, Verdict{ProxyMade: true, Reset: true}},
		{fields("weft-unprocessed: 1"), true, Verdict{}},
		{fields("weft-proxy-error: x", "weft-unprocessed: 10"), true, Verdict{ProxyMade: true, Unprocessed: false}},
	} {
		r := http.Response{Fields: c.fields}
		if got := OutboundResponse(&r, c.mutual, nil, nil, nil); got != c.want || len(r.Fields) != 0 {
			t.Errorf("%s mutual=%v: %+v, left %s", lines(c.fields), c.mutual, got, lines(r.Fields))
		}
	}
	// An application cannot speak for its proxy.
	r := http.Response{Fields: made(true)}
	if InboundResponse(&r); len(r.Fields) != 0 {
		t.Errorf("inbound response: %s", lines(r.Fields))
	}
}

func TestFiltersAllocateNothing(t *testing.T) {
	st := Step{Request: NewHeaderOps([]Header{{"a", "1"}}, []Header{{"b", "1"}}, []string{"c"})}
	base := fields("Accept: x", "C: y", "weft-proxy-error: z")
	buf := make([]http.Field, 0, 16)
	if n := testing.AllocsPerRun(100, func() {
		r := http.Request{Fields: append(buf[:0], base...)}
		OutboundRequest(&r, nil, &st, nil, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
