package local

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weftmesh/weft/internal/freeport"
)

func TestQuantileInterpolatesWithinTheBucket(t *testing.T) {
	c := newCounts()
	c.buckets = map[float64]float64{1: 50, 2: 90, 10: 100, math.Inf(1): 100}
	for q, want := range map[float64]float64{0.5: 1, 0.7: 1.5, 0.9: 2, 0.95: 6} {
		if got := c.quantile(q); math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
	if got := newCounts().quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing = %v", got)
	}
}

func TestTallyKeepsWhatADeadProxyCounted(t *testing.T) {
	ta := newTally()
	saw := func(n float64) { ta.saw("api-1", "api", &counts{requests: n, buckets: map[float64]float64{}}) }
	saw(10)
	saw(70)
	saw(5) // started anew
	if got := ta.byService()["api"].requests; got != 75 {
		t.Errorf("requests = %v, want 75", got)
	}
}

func TestSplitFileIsReadInBothForms(t *testing.T) {
	p := filepath.Join(t.TempDir(), "split.yaml")
	for text, want := range map[string][]splitBackend{
		splitYAML: {{"api", "api-stable", 90}, {"api", "api-canary", 10}},
		"spec: {service: api, backends: [{service: a, weight: 900m}, {service: b, weight: \"100m\"}]}": {{"api", "a", 900}, {"api", "b", 100}},
		"spec: [": nil,
	} {
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := readSplit(p)
		if len(got) != len(want) {
			t.Fatalf("%q: got %v, want %v", text, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: got %v, want %v", text, got[i], want[i])
			}
		}
	}
}

func TestUpstreamArguments(t *testing.T) {
	f, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	svc, err := documents("", serviceObject("default", "db", 5432, "tcp"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.writeNew("services/default.db.yaml", svc); err != nil {
		t.Fatal(err)
	}
	m := &mesh{folder: f, ports: &freeport.Ports{}}
	free, err := m.ports.Next()
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"db=" + loopback(free):            "db.default.svc.cluster.local:5432",
		"api:80=" + loopback(free):        "api.default.svc.cluster.local:80",
		"api.shop:8080=" + loopback(free): "api.shop.svc.cluster.local:8080",
	} {
		got, err := m.upstreams("default", []string{in})
		if err != nil || got[0].Host != want {
			t.Errorf("%s: got %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"db", "db=nowhere", "db=192.0.2.1:80", "db:x=127.0.0.1:1", "absent=" + loopback(free)} {
		if _, err := m.upstreams("default", []string{in}); !errors.Is(err, ErrUsage) {
			t.Errorf("%s: got %v, want a usage error", in, err)
		}
	}
}

func TestTableShowsSharesAndEmptyServices(t *testing.T) {
	var b bytes.Buffer
	err := printTable(&b, []ServiceStats{{Name: "api", Requests: 10, Success: 0.9, RPS: 5, P50: 1.2, P95: 20, P99: 30, MTLS: 1}, {Name: "idle"}},
		[]SplitStats{{"api", "api-stable", 90, 9}, {"api", "api-canary", 10, 1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"90.00%", "5.0rps", "1.2ms", "20ms", "100%", "idle         -", "api-stable 90.0% (weight 90)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestUserFilesAreKept(t *testing.T) {
	f, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := layOut(f); err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(splitYAML, "weight: 90", "weight: 50", 1)
	if err := f.Write("policy/split.yaml", []byte(edited)); err != nil {
		t.Fatal(err)
	}
	if err := layOut(f); err != nil {
		t.Fatal(err)
	}
	if got := readSplit(filepath.Join(f.Config(), "policy", "split.yaml")); got[0].weight != 50 {
		t.Errorf("the user's weight was overwritten: %v", got)
	}
	left, err := filepath.Glob(filepath.Join(f.Config(), "*", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files left: %v %v", left, err)
	}
}
