package inject

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/*.out.yaml instead of comparing")

// testCase is one *.in.yaml: documents of YAML, the pod, its namespace, and
// what differs from the usual options.
type testCase struct {
	podJSON   []byte
	target    Target
	Native    bool   `json:"native"`
	Owner     string `json:"owner"`
	NoAnchors bool   `json:"noAnchors"`
}

func readCase(t *testing.T, file string) testCase {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := testCase{target: Target{Namespace: Namespace{Name: "production"}}}
	for doc := range strings.SplitSeq(string(raw), "\n---\n") {
		var head struct{ Kind string }
		if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
			t.Fatal(err)
		}
		switch head.Kind {
		case "Pod":
			if c.podJSON, err = yaml.YAMLToJSON([]byte(doc)); err != nil {
				t.Fatal(err)
			}
			c.target.Pod = &corev1.Pod{}
			err = json.Unmarshal(c.podJSON, c.target.Pod)
		case "Namespace":
			var ns corev1.Namespace
			err = yaml.UnmarshalStrict([]byte(doc), &ns)
			c.target.Namespace = Namespace{ns.Name, ns.Labels, ns.Annotations}
		default:
			err = yaml.UnmarshalStrict([]byte(doc), &c)
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
	c.target.Owner = c.Owner
	return c
}

func options(c testCase) Options {
	o := Options{TrustAnchors: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", NativeSidecar: c.Native, Version: "v1.2.3",
		ProxyImage: "weft.mesh/proxy:v1.2.3", InitImage: "weft.mesh/init:v1.2.3"}
	if c.NoAnchors {
		o.TrustAnchors = ""
	}
	return o
}

// TestGolden injects every pod of testdata. Run with -rewrite to accept what
// comes out, and read the diff.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) {
			c := readCase(t, file)
			before := bytes.Clone(mustJSON(t, c.target.Pod))
			res, err := Pod(c.target, options(c))
			if !bytes.Equal(before, mustJSON(t, c.target.Pod)) {
				t.Error("the pod itself was changed")
			}
			var got bytes.Buffer
			fmt.Fprintf(&got, "# %s: %s\n", res.Decision.Reason, res.Decision.Detail)
			for _, w := range res.Warnings {
				fmt.Fprintf(&got, "# warning: %s\n", w)
			}
			if err != nil {
				fmt.Fprintf(&got, "# error: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n# error: "))
			}
			if len(res.Patch) > 0 {
				got.Write(apply(t, c.podJSON, res.Patch))
			}
			out := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
			if *rewrite {
				if err := os.WriteFile(out, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want, got.Bytes()) {
				t.Errorf("%s differs; got:\n%s", out, got.Bytes())
			}
		})
	}
}

// apply patches the original JSON, as the API server does, so that fields that
// our types do not know are seen to survive.
func apply(t *testing.T, pod []byte, p Patch) []byte {
	t.Helper()
	raw, err := p.JSON()
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(raw)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(pod)
	if err != nil {
		t.Fatalf("patch does not apply: %v\n%s", err, raw)
	}
	out, err := yaml.JSONToYAML(patched)
	if err != nil {
		t.Fatal(err)
	}
	var strict corev1.Pod
	if err := yaml.Unmarshal(out, &strict); err != nil {
		t.Fatalf("not a pod any more: %v", err)
	}
	return out
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestInjectingTwice finds the first sidecar and leaves the pod alone.
func TestInjectingTwice(t *testing.T) {
	for _, file := range []string{"testdata/linkerd-native.in.yaml", "testdata/istio-classic.in.yaml"} {
		c := readCase(t, file)
		res, err := Pod(c.target, options(c))
		if err != nil {
			t.Fatal(err)
		}
		var pod corev1.Pod
		if err := yaml.Unmarshal(apply(t, c.podJSON, res.Patch), &pod); err != nil {
			t.Fatal(err)
		}
		c.target.Pod = &pod
		again, err := Pod(c.target, options(c))
		if err != nil || len(again.Patch) > 0 || again.Decision.Reason != AlreadyInjected {
			t.Errorf("%s: second time: %+v, %v", file, again.Decision, err)
		}
	}
}

func TestWithoutTrustAnchorsNothingIsInjected(t *testing.T) {
	c := readCase(t, "testdata/linkerd-native.in.yaml")
	c.NoAnchors = true
	if _, err := Pod(c.target, options(c)); !errors.Is(err, ErrOptions) {
		t.Errorf("error %v, want ErrOptions", err)
	}
}
