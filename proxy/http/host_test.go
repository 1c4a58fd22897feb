package http_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

func TestValidHost(t *testing.T) {
	for _, h := range []string{"", "a", "a.b.c", "localhost:80", "a:", "a:0", "a:65535", "a_b", "10.0.0.1:8080", "a%2Fb", "%C3%a4", "a,b", ";", "a!$&'()*+,;=~",
		"[::1]", "[::]", "[::1]:80", "[::1]:", "[2001:db8::1]", "[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[::ffff:10.0.0.1]:1",
		"[1:2:3:4:5:6:1.2.3.4]", "[v1.a:b]", "[vF.x]"} {
		if !http.ValidHost([]byte(h)) {
			t.Errorf("%q is refused", h)
		}
	}
	for _, h := range []string{":80", ":", "a:b", "a:80:80", "a:65536", "a:99999999", "::1", "user@a", "a b", "a/b", "a?b", "a#b", "a\\b", "a\x80", "ä", "%", "%z", "%zz", "a%2",
		"[", "]", "[]", "[]:80", "[::1", "::1]", "a]", "a[b]", "[a", "[[::1]]", "[[::1]", "[[::a:b:99999999", "[::1]x", "[::1]80", "[::1]:x", "[::1]:65536", "[::1]:80:80", "[::1][::1]",
		"[:]", "[:::]", "[1]", "[1:2]", "[1::2::3]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[12345::]", "[::g]", "[:1::]", "[1::2:]", "[::1%eth0]", "[::1%25eth0]",
		"[::10.0.0]", "[::10.0.0.256]", "[::10.0.0.01]", "[1:2:3:4:5:6:7:1.2.3.4]", "[::1.2.3.4:1]", "[1.2.3.4]", "[v.a]", "[v1.]", "[v1]", "[vg.a]", "[v1.@]"} {
		if http.ValidHost([]byte(h)) {
			t.Errorf("%q is accepted", h)
		}
	}
	for h, want := range map[string]bool{"a:80": true, "[::1]:80": true, "a": false, "a:": false, "[::1]": false, "[::1]:": false, "": false, ":80": false} {
		if got := http.ValidHostPort([]byte(h)); got != want {
			t.Errorf("%q with a port: %v", h, got)
		}
	}
}

// FuzzValidHost compares with the parser of the standard library what stands in
// brackets.
func FuzzValidHost(f *testing.F) {
	for _, s := range []string{"::1", "::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1::", "1:2:3:4:5:6:7::", ":::", "::1:", "1:2:3:4:5:6:7", "::0001", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_ = http.ValidHost([]byte(s))
		if strings.HasPrefix(strings.ToLower(s), "v") || strings.ContainsAny(s, "[]%") {
			return
		}
		a, err := netip.ParseAddr(s)
		want := err == nil && a.Is6()
		if got := http.ValidHost([]byte("[" + s + "]")); got != want {
			t.Fatalf("[%s]: %v, want %v (%v)", s, got, want, err)
		}
	})
}

func BenchmarkValidHost(b *testing.B) {
	h := []byte("reviews.default.svc.cluster.local:9080")
	b.ReportAllocs()
	for b.Loop() {
		if !http.ValidHost(h) {
			b.Fatal("refused")
		}
	}
}
