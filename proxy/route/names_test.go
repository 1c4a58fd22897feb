package route_test

import (
	"testing"

	"github.com/weftmesh/weft/proxy/route"
)

func TestNamesPreferTheMostExact(t *testing.T) {
	n := route.NewNames([]string{"api.example.com", "*.example.com", "*.deep.example.com", "*-x.org", "Large.Example.Com"}, 443)
	for name, want := range map[string]string{
		"api.example.com":      "api.example.com:443",
		"www.example.com":      "*.example.com:443",
		"a.b.example.com":      "*.example.com:443",
		"a.deep.example.com":   "*.deep.example.com:443",
		"deep.example.com":     "*.example.com:443",
		"a-x.org":              "*-x.org:443",
		"-x.org":               "",
		"large.example.com":    "Large.Example.Com:443",
		"example.com":          "",
		".example.com":         "",
		"notexample.com":       "",
		"api.example.com.evil": "",
		"":                     "",
	} {
		if got := n.Find(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	if got := (*route.Names)(nil).Find("a"); got != "" {
		t.Errorf("nobody's: %q", got)
	}
	for authority, want := range map[string]string{"API.example.com:8443": "api.example.com", "api.example.com.": "api.example.com", "[::1]:80": "[::1]", "[::1]": "[::1]", "": ""} {
		if got := route.Authority([]byte(authority)); got != want {
			t.Errorf("%q: %q, want %q", authority, got, want)
		}
	}
}
