package filter

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

// FuzzRedirect: a location is one line, and says a scheme first.
func FuzzRedirect(f *testing.F) {
	for _, s := range [][3]string{{"a:80", "/x?y", "b"}, {"[::1]:443", "/", ""}, {"a:", "*", "b:8080"}, {"::1", "/?", "[::2]"}, {"", "/a//b?c#d", ":1"}, {"a:b", "/%zz", "c"}} {
		f.Add(s[0], s[1], s[2], uint32(0))
	}
	digits := regexp.MustCompile("[0-9]+")
	f.Fuzz(func(t *testing.T, authority, target, host string, port uint32) {
		if strings.ContainsAny(authority+target+host, "\r\n") {
			return // the codecs refuse them
		}
		for _, p := range []Path{{}, {Full: "/full?q"}, {HasPrefix: true, Prefix: "/p/", Matched: 1}, {HasPrefix: true, Matched: -1}, {Regex: digits, Template: []byte("<$0>")}} {
			r := http.Request{Method: []byte("GET"), Authority: []byte(authority), Target: []byte(target)}
			p.Matched = min(p.Matched, len(r.Path()))
			for _, strip := range []bool{false, true} {
				d := Redirect{Status: 301, Scheme: "https", Host: host, Port: port % 65536, Path: p, StripQuery: strip}
				l := d.Location(&r, "http")
				if !bytes.HasPrefix(l, []byte("https://")) || bytes.ContainsAny(l, "\r\n") || string(r.Target) != target || string(r.Authority) != authority {
					t.Fatalf("%q, and the request is %q %q", l, r.Authority, r.Target)
				}
			}
		}
	})
}

// FuzzCORS: nothing that was not asked for is permitted, and one origin alone.
func FuzzCORS(f *testing.F) {
	f.Add("OPTIONS", "https://a", "GET", "x, y", true)
	f.Add("GET", "null", "", "", false)
	f.Add("OPTIONS", "", "*", "*", true)
	f.Fuzz(func(t *testing.T, method, origin, asked, headers string, credentials bool) {
		c := CORS{Origins: func(o []byte) bool { return bytes.HasPrefix(o, []byte("https://")) }, Methods: "*", Headers: "*", Credentials: credentials}
		r := http.Request{Method: []byte(method), Fields: []http.Field{{Name: []byte("Origin"), Value: []byte(origin)},
			{Name: []byte("Access-Control-Request-Method"), Value: []byte(asked)}, {Name: []byte("Access-Control-Request-Headers"), Value: []byte(headers)}}}
		if Preflight(&r) != (method == "OPTIONS" && origin != "" && asked != "") {
			t.Fatal("a preflight is taken for none, or the other way round")
		}
		o := c.Origin(&r)
		if (o != nil) != strings.HasPrefix(origin, "https://") {
			t.Fatalf("%q is %q", origin, o)
		}
		if o == nil {
			return
		}
		for _, x := range c.Permit(&r, o) {
			v := string(x.Value)
			switch string(x.Name) {
			case "access-control-allow-origin":
				if v != origin && v != "*" || v == "*" && credentials {
					t.Fatalf("%q is allowed to %q", origin, v)
				}
			case "access-control-allow-methods":
				if v != asked && (v != "*" || credentials) {
					t.Fatalf("%q is allowed for %q", v, asked)
				}
			case "access-control-allow-headers":
				if v != headers && (v != "*" || credentials) {
					t.Fatalf("%q is allowed for %q", v, headers)
				}
			}
		}
	})
}

// A host that a client names in a field is taken if it is one.
func TestHostOfAField(t *testing.T) {
	for in, want := range map[string]string{"b:80": "b:80", "": "a", "b c": "a", "[[::1": "a", "u@b": "a", "b/c": "a"} {
		r := http.Request{Authority: []byte("a"), Target: []byte("/"), Fields: fields("x-host: " + in)}
		if (&Rewrite{HostField: "x-host"}).Apply(&r); string(r.Authority) != want {
			t.Errorf("%q: %q", in, r.Authority)
		}
	}
	r := http.Request{Authority: []byte("a"), Target: []byte("/b c"), Fields: nil}
	if (&Rewrite{HostRegex: regexp.MustCompile("^/(.*)$"), HostTemplate: []byte("$1")}).Apply(&r); string(r.Authority) != "a" {
		t.Errorf("%q", r.Authority)
	}
}
