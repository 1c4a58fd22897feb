package route_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
)

// FuzzHash: the same cookies and queries choose the same endpoint, whatever else
// stands beside them.
func FuzzHash(f *testing.F) {
	for _, s := range [][3]string{{"id", "a=b; id=1", "/?id=2"}, {"id", `id="x"`, "/a?b=c&id"}, {"id", "id", "/?id=%"}, {"", "=", "/?="}, {"a", ";;a=;", "/?a=1&a=2"}} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, name, cookie, target string) {
		r := &http.Request{Method: []byte("GET"), Target: []byte(target), Fields: []http.Field{{Name: []byte("Cookie"), Value: []byte(cookie)}}}
		of := func(kind route.HashKind, r *http.Request) (uint64, bool) {
			h, ok, set, p := route.Hash([]route.HashPolicy{{Kind: kind, Name: name}}, r, netip.Addr{}, 7)
			if set != nil || p != nil {
				t.Fatal("a cookie that nobody asked for")
			}
			return h, ok
		}
		for _, kind := range []route.HashKind{route.HashCookie, route.HashQuery} {
			a, found := of(kind, r)
			if b, again := of(kind, r); a != b || found != again {
				t.Fatalf("%d and %d of the same", a, b)
			}
			if found && kind == route.HashCookie {
				more := *r
				more.Fields = append([]http.Field{{Name: []byte("x"), Value: []byte(cookie)}}, r.Fields...)
				if b, _ := of(kind, &more); a != b {
					t.Fatalf("another field changes the cookie %q", name)
				}
			}
		}
		_, _, set, p := route.Hash([]route.HashPolicy{{Kind: route.HashCookie, Name: name, Generate: true}}, r, netip.Addr{}, 7)
		if set != nil && (string(set) != "7" || !strings.HasPrefix(string(p.SetCookie(set)), name+`="7"`)) {
			t.Fatalf("%q", set)
		}
	})
}
