package profile

import (
	"regexp"
	"testing"

	"github.com/weftmesh/weft/internal/linkerdapi"
)

func TestPathRegex(t *testing.T) {
	for path, want := range map[string]struct{ yes, no []string }{
		"/books/{id}":      {[]string{"/books/7", "/books/"}, []string{"/books/7/pages", "/books"}},
		"/a.b":             {[]string{"/a.b"}, []string{"/axb"}},
		"/{x}/{y}.json":    {[]string{"/1/2.json"}, []string{"/1/2xjson", "/1/2/3.json"}},
		"/odd/{not closed": {[]string{"/odd/{not closed"}, []string{"/odd/1"}},
	} {
		re := regexp.MustCompile("^(?:" + pathRegex(path) + ")$")
		for _, s := range want.yes {
			if !re.MatchString(s) {
				t.Errorf("%s does not hold %s", path, s)
			}
		}
		for _, s := range want.no {
			if re.MatchString(s) {
				t.Errorf("%s holds %s", path, s)
			}
		}
	}
}

// FuzzRoutes: whatever is read makes routes whose expressions compile.
func FuzzRoutes(f *testing.F) {
	for _, s := range []string{"swagger: '2.0'\npaths: {/a/{b}: {get: {}}}", `{"openapi":"3.0","paths":{"/":{"put":{"responses":{"4xx":{}}}}}}`,
		"package a.b; service S { rpc M (A) returns (B) { option x = {}; } }", "service S { rpc", "/* // ", `option a = "\`, "service S { rpc (A) } }"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, read := range []func([]byte) ([]linkerdapi.Route, error){fromOpenAPI, fromProto} {
			list, err := read(raw)
			if (len(list) == 0) != (err != nil) {
				t.Fatalf("%d routes, %v", len(list), err)
			}
			for _, r := range list {
				if _, err := regexp.Compile(r.Condition.PathRegex); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
