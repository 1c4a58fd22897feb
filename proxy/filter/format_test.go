package filter

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
)

func TestFormats(t *testing.T) {
	f := &Facts{Client: netip.MustParseAddrPort("10.0.0.1:99"), Local: netip.MustParseAddrPort("[fd00::1]:80"), Route: "r", Cluster: "c", Start: time.Unix(1, 5e6)}
	r := request("GET", "/p", "api", "X-A: 12345")
	for in, want := range map[string]string{
		"a":                           "a",
		"100%%":                       "100%",
		"100%":                        "100%",
		"a%20b":                       "a%20b",
		"%DOWNSTREAM_REMOTE_ADDRESS%": "10.0.0.1:99",
		"ip=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%!": "ip=10.0.0.1!",
		"%DOWNSTREAM_LOCAL_PORT%":                      "80",
		"%REQ(X-A)%":                                   "12345",
		"%REQ(X-A):3%":                                 "123",
		"%REQ(x-no?X-A)%":                              "12345",
		"%REQ(x-no)%":                                  "-",
		"%REQ(:PATH)%%REQ(:authority)%":                "/papi",
		"%ROUTE_NAME%/%UPSTREAM_CLUSTER%":              "r/c",
		"%START_TIME%":                                 "1970-01-01T00:00:01.005Z",
	} {
		c, err := NewFormat(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if got := string(c.Append(nil, r, f)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{"%NONE%", "%REQ()%", "%REQ(a%", "%REQ(a):x%", "%REQ(a):0%", "a\r\nb", "%START_TIME(%s)%"} {
		if _, err := NewFormat(in); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestHeaderActions(t *testing.T) {
	ops, err := CompileHeaderOps([]Change{{"a", "new", AddIfAbsent}, {"b", "new", OverwriteIfExists}, {"c", "new", OverwriteIfExists}, {"d", "new", AddIfAbsent},
		{"e", "%REQ(a)%", Append}, {":authority", "other", Overwrite}}, []string{"x"})
	if err != nil {
		t.Fatal(err)
	}
	r := request("GET", "/", "api", "A: 1", "B: 1", "B: 2", "X: 1")
	ops.Request(r, nil)
	if got := lines(r.Fields); got != "A: 1; b: new; d: new; e: 1" || string(r.Authority) != "other" {
		t.Errorf("%s at %s", got, r.Authority)
	}
	resp := http.Response{Fields: fields("A: 1")}
	ops.Response(&resp, nil)
	if got := lines(resp.Fields); got != "A: 1; d: new; e: -" {
		t.Errorf("%s", got)
	}
}

// FuzzFormat: no text makes a value that could end a header's line, and a value
// without a percent sign stands for itself.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"a", "%%", "%REQ(a)%", "%REQ(a?b):3%", "%START_TIME%", "%X", "%A%", "%%%REQ(:path)%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := NewFormat(s)
		if err != nil {
			return
		}
		for _, b := range c.Append(nil, request("GET", "/", "api", "a: v"), nil) {
			if b < ' ' && b != '\t' || b == 0x7f {
				t.Fatalf("%q: control character %x", s, b)
			}
		}
	})
}
