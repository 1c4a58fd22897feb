package filter

import (
	"regexp"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

func request(method, target, authority string, lines ...string) *http.Request {
	return &http.Request{Method: []byte(method), Target: []byte(target), Authority: []byte(authority), Fields: fields(lines...)}
}

func TestRedirectLocations(t *testing.T) {
	prefix := func(p string, matched int) Path { return Path{HasPrefix: true, Prefix: p, Matched: matched} }
	for _, c := range []struct {
		d                         Redirect
		authority, scheme, target string
		want                      string
	}{
		{Redirect{}, "api", "http", "/a?b=c", "http://api/a?b=c"},
		{Redirect{Scheme: "https"}, "api", "http", "/a", "https://api/a"},
		{Redirect{Scheme: "https"}, "api:80", "http", "/a", "https://api/a"}, // the other scheme's port goes
		{Redirect{Scheme: "https"}, "api:8080", "http", "/a", "https://api:8080/a"},
		{Redirect{Scheme: "http"}, "api:443", "https", "/a", "http://api/a"},
		{Redirect{Scheme: "https", Port: 443}, "api:8080", "http", "/a", "https://api/a"},
		{Redirect{Port: 8083}, "api", "http", "/a", "http://api:8083/a"},
		{Redirect{Port: 80}, "api:8080", "http", "/a", "http://api/a"},
		{Redirect{Host: "example.org"}, "api:8080", "http", "/a", "http://example.org:8080/a"},
		{Redirect{Host: "example.org:81"}, "api:8080", "http", "/a", "http://example.org:81/a"},
		{Redirect{Host: "[fd00::1]"}, "[fd00::2]:8080", "http", "/a", "http://[fd00::1]:8080/a"},
		{Redirect{}, "[fd00::2]", "http", "/", "http://[fd00::2]/"},
		{Redirect{Path: Path{Full: "/new"}}, "api", "http", "/a?b=c", "http://api/new?b=c"},
		{Redirect{Path: Path{Full: "/new?x=y"}}, "api", "http", "/a?b=c", "http://api/new?x=y"},
		{Redirect{Path: prefix("/new", 4)}, "api", "http", "/old/x?b=c", "http://api/new/x?b=c"},
		{Redirect{Path: prefix("/", 4)}, "api", "http", "/old", "http://api/"},
		{Redirect{Path: prefix("/new", -1)}, "api", "http", "/old/x?b", "http://api/new?b"},
		{Redirect{StripQuery: true}, "api", "http", "/a?b=c", "http://api/a"},
		{Redirect{StripQuery: true, Path: prefix("/n", 2)}, "api", "http", "/a/b?b=c", "http://api/n/b"},
		{Redirect{Path: Path{Regex: regexp.MustCompile(`^/u/([0-9]+)`), Template: []byte("/user-${1}")}}, "api", "https", "/u/7/x?q", "https://api/user-7/x?q"},
	} {
		if got := string(c.d.Location(request("GET", c.target, c.authority), c.scheme)); got != c.want {
			t.Errorf("%+v of %s://%s%s: %s, want %s", c.d, c.scheme, c.authority, c.target, got, c.want)
		}
	}
	r := request("GET", "/", "api")
	r.Scheme = []byte("https")
	if got := string((&Redirect{}).Location(r, "http")); got != "https://api/" {
		t.Errorf("the request's own scheme: %s", got)
	}
}

func TestRewrites(t *testing.T) {
	for _, c := range []struct {
		w            Rewrite
		target, want string
		host         string
	}{
		{Rewrite{Path: Path{HasPrefix: true, Prefix: "/v2", Matched: 3}}, "/v1/x?a=b", "/v2/x?a=b", "api"},
		{Rewrite{Path: Path{HasPrefix: true, Prefix: "", Matched: 3}}, "/v1", "/", "api"},
		{Rewrite{Path: Path{HasPrefix: true, Prefix: "", Matched: 3}}, "/v1/x", "/x", "api"},
		{Rewrite{Path: Path{Full: "/all"}}, "/v1/x?a=b", "/all?a=b", "api"},
		{Rewrite{Path: Path{Regex: regexp.MustCompile(`x`), Template: []byte("y")}}, "/x/x?x", "/y/y?x", "api"},
		{Rewrite{Path: Path{Full: "/all"}}, "*", "*", "api"},
		{Rewrite{Host: "other"}, "/", "/", "other"},
		{Rewrite{HostField: "x-host"}, "/", "/", "field"},
		{Rewrite{HostField: "x-none"}, "/", "/", "api"},
		{Rewrite{HostRegex: regexp.MustCompile(`^/([a-z]+)/.*$`), HostTemplate: []byte("${1}.svc")}, "/web/1", "/web/1", "web.svc"},
		{Rewrite{}, "/a", "/a", "api"},
	} {
		r := request("GET", c.target, "api", "X-Host: field")
		c.w.Apply(r)
		if string(r.Target) != c.want || string(r.Authority) != c.host {
			t.Errorf("%+v of %s: %s at %s", c.w, c.target, r.Target, r.Authority)
		}
	}
	r := request("GET", "/", "api")
	(&Rewrite{Host: "b", Forwarded: true}).Apply(r)
	if lines(r.Fields) != "x-forwarded-host: api" {
		t.Errorf("forwarded: %s", lines(r.Fields))
	}
}

func TestCORS(t *testing.T) {
	c := &CORS{Origins: func(o []byte) bool { return strings.HasSuffix(string(o), ".example.org") }, Methods: "GET,PUT", Headers: "*", Expose: "X-E", MaxAge: "60", Credentials: true}
	pre := request("OPTIONS", "/", "api", "Origin: http://a.example.org", "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-a")
	if !Preflight(pre) || Preflight(request("OPTIONS", "/", "api", "Origin: x")) || Preflight(request("GET", "/", "api", "Origin: x", "Access-Control-Request-Method: PUT")) {
		t.Error("preflight")
	}
	want := "access-control-allow-origin: http://a.example.org; access-control-allow-credentials: true; access-control-expose-headers: X-E; vary: origin; " +
		"access-control-allow-methods: GET,PUT; access-control-allow-headers: x-a; access-control-max-age: 60"
	if got := lines(c.Permit(pre, c.Origin(pre))); got != want {
		t.Errorf("%s", got)
	}
	if c.Origin(request("GET", "/", "api", "Origin: http://evil.org")) != nil || c.Origin(request("GET", "/", "api")) != nil {
		t.Error("origin")
	}
	got := lines(c.Allow(fields("Access-Control-Allow-Origin: *", "Vary: *", "A: b"), []byte("o")))
	if got != "Vary: *; A: b; access-control-allow-origin: o; access-control-allow-credentials: true; access-control-expose-headers: X-E" {
		t.Errorf("%s", got)
	}
}
