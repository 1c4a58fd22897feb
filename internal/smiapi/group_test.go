package smiapi

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
)

func group(version, matches string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"specs.smi-spec.io/%s","kind":"HTTPRouteGroup","metadata":{"name":"g","namespace":"n"},"spec":{"matches":[%s]}}`, version, matches)
}

func TestDecodeGroup(t *testing.T) {
	for _, v := range GroupVersions {
		for _, headers := range []string{`{"B":"x","a":"y"}`, `[{"a":"y"},{"B":"x"}]`} {
			g, unknown, err := DecodeGroup(group(v, `{"name":"m","pathRegex":"/a.*","methods":["GET","*"],"headers":`+headers+`,"more":1}`))
			if err != nil || len(unknown) != 1 {
				t.Fatalf("%v, unknown %v", err, unknown)
			}
			if m := g.Matches[0]; m.Methods != nil || len(m.Headers) != 2 || m.Headers[1] != (HeaderRegex{"b", "x"}) || m.PathRegex != "/a.*" {
				t.Errorf("got %+v", m)
			}
		}
	}
	for _, m := range []string{``, `{"pathRegex":"("}`, `{"methods":["A B"]}`, `{"headers":[1]}`, `{"headers":{"a b":"x"}}`, `{"headers":{"a":"["}}`} {
		if _, _, err := DecodeGroup(group("v1alpha4", m)); !errors.Is(err, ErrValue) && !errors.Is(err, ErrMissing) {
			t.Errorf("%s: %v", m, err)
		}
	}
	if _, _, err := DecodeGroup(group("v1beta1", `{}`)); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
}

// FuzzDecodeGroup: the expressions of a group that is taken compile.
func FuzzDecodeGroup(f *testing.F) {
	f.Add(group("v1alpha4", `{"headers":{"a":".*"},"methods":["GET"]}`))
	f.Add(group("v1alpha3", `{"headers":[{"a":"("}],"pathRegex":"/"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, _, err := DecodeGroup(b)
		if err != nil {
			return
		}
		for _, m := range g.Matches {
			regexp.MustCompile(m.PathRegex)
			for _, h := range m.Headers {
				regexp.MustCompile(h.Regex)
			}
		}
	})
}
