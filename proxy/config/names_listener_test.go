package config

import (
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/internal/waittest"
)

func namesListener(name, http, tls string) *listenerv3.Listener {
	return &listenerv3.Listener{Name: name, Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
		"weft": {Fields: map[string]*structpb.Value{"http_hosts": structpb.NewStringValue(http), "tls_hosts": structpb.NewStringValue(tls)}}}}}
}

func TestListsOfNames(t *testing.T) {
	r := newRig(t, nil, namesListener("*_443", "api.example.com", "db.example.com *.example.org"))
	d, err := r.destination(NamesListener(443))
	if err != nil {
		t.Fatal(err)
	}
	n := d.ByName()
	if d.Protocol() != Named || n.HTTP.Find("api.example.com") != "api.example.com:443" || n.TLS.Find("x.example.org") != "*.example.org:443" || n.HTTP.Find("db.example.com") != "" {
		t.Errorf("%v %v", d.Protocol(), n)
	}
	r.set(namesListener("*_443", "", "db.example.com"))
	waittest.Until(t, "the list to follow", func() bool { return d.ByName().HTTP == nil && d.ByName().TLS.Find("x.example.org") == "" })
	var dump strings.Builder
	if err := r.store.Dump(&dump); err != nil || !strings.Contains(dump.String(), `"db.example.com"`) {
		t.Errorf("the dump does not show it: %v %s", err, dump.String())
	}
	r.remove(urlListener, "*_443")
	waittest.Until(t, "the list to be given up", d.Stale)
}

func TestBadListsOfNames(t *testing.T) {
	chained := namesListener("*_80", "a.b", "")
	chained.DefaultFilterChain = chainOf(tcpFilter("s", "c"))
	for want, l := range map[string]*listenerv3.Listener{
		"has no port":      namesListener("*_0", "a.b", ""),
		"has no port (2)":  namesListener("*_x", "a.b", ""),
		"http_hosts":       namesListener("*_80", " ", ""),
		"behind a star":    namesListener("*_80", "*", ""),
		`"a*.b"`:           namesListener("*_80", "", "a*.b"),
		`"a.b:80"`:         namesListener("*_80", "a.b:80", ""),
		"chains of a list": chained,
	} {
		want, _, _ = strings.Cut(want, " (")
		if _, err := readListener(l.GetName(), wire(t, l)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
