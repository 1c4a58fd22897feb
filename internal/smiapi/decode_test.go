package smiapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func doc(version, backends, rest string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"split.smi-spec.io/%s","kind":"TrafficSplit","metadata":{"name":"c","namespace":"n"},"spec":{"service":"api.n.svc.cluster.local","backends":[%s]%s}}`, version, backends, rest)
}

func TestDecodeEveryVersionAndWeight(t *testing.T) {
	for _, v := range Versions {
		for weight, want := range map[string]int64{`90`: 90_000, `"90"`: 90_000, `"900m"`: 900, `"0.5"`: 500, `0`: 0, `1.5`: 1500, `"1k"`: 1_000_000, `1000000`: MaxMilliWeight} {
			s, err := Decode(doc(v, `{"service":"a","weight":`+weight+`}`, ""))
			if err != nil {
				t.Errorf("%s %s: %v", v, weight, err)
				continue
			}
			if s.Service != "api" || s.Name != "c" || s.Namespace != "n" || s.Backends[0] != (Backend{"a", want}) {
				t.Errorf("%s %s: got %+v", v, weight, s)
			}
		}
	}
	s, err := Decode(doc("v1alpha4", `{"service":"a","weight":1}`, `,"matches":[{"apiGroup":"specs.smi-spec.io","kind":"HTTPRouteGroup","name":"g"}]`))
	if err != nil || len(s.Matches) != 1 || s.Matches[0].Name != "g" {
		t.Errorf("matches: %+v, %v", s, err)
	}
}

func TestDecodeTellsEveryFault(t *testing.T) {
	_, err := Decode(doc("v1alpha2", `{"service":"a","weight":-1},{"weight":"x"},{"service":"b"},{"service":"c","weight":1000001},{"service":"d","weight":true}`, ""))
	if !errors.Is(err, ErrWeight) || !errors.Is(err, ErrMissing) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"spec.backends[0].weight: bad weight \"-1\": it is negative", "spec.backends[1].service", "spec.backends[1].weight", "spec.backends[2].weight", "spec.backends[3].weight", "spec.backends[4].weight"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell %q", err, want)
		}
	}
	for name, c := range map[string]struct {
		doc  []byte
		want error
	}{
		"version":     {doc("v1beta1", `{"service":"a","weight":1}`, ""), ErrVersion},
		"no backends": {doc("v1alpha1", ``, ""), ErrMissing},
		"not JSON":    {[]byte("{"), ErrJSON},
		"wrong type":  {[]byte(`{"apiVersion":"split.smi-spec.io/v1alpha1","spec":{"service":7}}`), ErrJSON},
	} {
		if _, err := Decode(c.doc); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// FuzzDecode: a split that is taken has a root, backends and weights in range.
func FuzzDecode(f *testing.F) {
	f.Add(doc("v1alpha1", `{"service":"a","weight":"900m"}`, ""))
	f.Add(doc("v1alpha4", `{"service":"a","weight":1e3}`, `,"matches":[{}]`))
	f.Add([]byte(`{"apiVersion":"split.smi-spec.io/v1alpha1","spec":{"service":".","backends":[{"service":"a","weight":"9999999999999999999E99"}]}}`))
	f.Add([]byte(`{"ApiVersion":"split.smi-spec.io/v1alpha1","speC":{"serviCe":".","BACkends":[{"serviCe":"0","weight":0}]}}`))
	f.Add(doc("v1alpha1", `{"service":".","weight":1}`, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Decode(b)
		if err != nil {
			return
		}
		if s.Service == "" || len(s.Backends) == 0 {
			t.Fatalf("taken without a root or backends: %+v", s)
		}
		for _, b := range s.Backends {
			if b.Service == "" || b.MilliWeight < 0 || b.MilliWeight > MaxMilliWeight {
				t.Fatalf("taken with %+v", b)
			}
		}
	})
}
