package inject

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/weftmesh/weft/control/admission"
)

type fakeCluster struct {
	ns       map[string]Namespace
	services map[string]bool
}

func (f fakeCluster) Namespace(_ context.Context, name string) (Namespace, error) {
	if ns, ok := f.ns[name]; ok {
		return ns, nil
	}
	return Namespace{}, errors.New("not found")
}

func (f fakeCluster) HasService(_ context.Context, namespace, name string) (bool, error) {
	return f.services[namespace+"/"+name], nil
}

func webhook(log *bytes.Buffer) http.Handler {
	c := fakeCluster{
		ns: map[string]Namespace{
			"production": {Annotations: map[string]string{"linkerd.io/inject": "enabled"}},
			"plain":      {},
		},
		services: map[string]bool{"production/api": true, "production/api-stable": true, "production/api-canary": true},
	}
	return Webhook{
		Options:    func() Options { return Options{TrustAnchors: "PEM", NativeSidecar: true} },
		Namespaces: c, Judge: admission.Judge{Services: c}, Log: slog.New(slog.NewTextHandler(log, nil)),
	}.Handler()
}

func review(group, kind, op, namespace, object, old string) string {
	if old == "" {
		old = "null"
	}
	version := "v1"
	if group == "split.smi-spec.io" {
		version = "v1alpha4"
	}
	return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u1","kind":{"group":%q,"version":%q,"kind":%q},
"resource":{"group":"","version":"v1","resource":"x"},"operation":%q,"namespace":%q,"userInfo":{},"object":%s,"oldObject":%s}}`, group, version, kind, op, namespace, object, old)
}

func post(t *testing.T, path, body string) (int, *admissionv1.AdmissionResponse, string) {
	t.Helper()
	var log bytes.Buffer
	rec := httptest.NewRecorder()
	webhook(&log).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
	if rec.Code != http.StatusOK {
		return rec.Code, nil, rec.Body.String()
	}
	var out admissionv1.AdmissionReview
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || out.Response == nil || out.Response.UID != "u1" || out.Kind != "AdmissionReview" {
		t.Fatalf("bad answer %s (%v)", rec.Body, err)
	}
	return rec.Code, out.Response, ""
}

func TestInjectWebhook(t *testing.T) {
	pod := `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"%s},"spec":{%s"containers":[{"name":"a","image":"i"}]}}`
	for name, c := range map[string]struct {
		namespace, meta, spec string
		patched, allowed      bool
		warning               string
	}{
		"asked":          {"production", "", "", true, true, ""},
		"not asked":      {"plain", "", "", false, true, ""},
		"host network":   {"production", "", `"hostNetwork":true,`, false, true, "weft: not meshed (host-network)"},
		"bad annotation": {"production", `,"annotations":{"config.linkerd.io/proxy-cpu-limit":"fast"}`, "", false, false, ""},
		"unknown value":  {"plain", `,"annotations":{"linkerd.io/inject":"on"}`, "", false, true, "linkerd.io/inject=on"},
	} {
		t.Run(name, func(t *testing.T) {
			_, resp, msg := post(t, "/inject", review("", "Pod", "CREATE", c.namespace, fmt.Sprintf(pod, c.meta, c.spec), ""))
			if resp == nil {
				t.Fatal(msg)
			}
			if (len(resp.Patch) > 0) != c.patched || resp.Allowed != c.allowed {
				t.Errorf("allowed %v, patch %s", resp.Allowed, resp.Patch)
			}
			if c.patched && (resp.PatchType == nil || *resp.PatchType != admissionv1.PatchTypeJSONPatch) {
				t.Error("no patch type")
			}
			if !strings.Contains(strings.Join(resp.Warnings, "\n"), c.warning) || (c.warning == "") != (len(resp.Warnings) == 0) {
				t.Errorf("warnings %q, want %q", resp.Warnings, c.warning)
			}
			if !c.allowed {
				for _, want := range []string{"config.linkerd.io/proxy-cpu-limit", `"fast"`, "100m", "production", "pod/p"} {
					if !strings.Contains(resp.Result.Message, want) {
						t.Errorf("message %q lacks %q", resp.Result.Message, want)
					}
				}
			}
		})
	}
}

func TestWebhookRefusesWhatItCannotRead(t *testing.T) {
	for name, c := range map[string]struct {
		path, body string
		code       int
	}{
		"empty":                  {"/inject", "", 400},
		"garbage":                {"/inject", "\x00\xff{", 400},
		"half":                   {"/inject", review("", "Pod", "CREATE", "production", "{}", "")[:80], 400},
		"other version":          {"/inject", `{"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","request":{"uid":"1"}}`, 400},
		"no request":             {"/inject", `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 400},
		"not a pod":              {"/inject", review("", "Pod", "CREATE", "production", `{"spec":3}`, ""), 400},
		"no namespace":           {"/inject", review("", "Pod", "CREATE", "nowhere", `{"metadata":{"name":"p"}}`, ""), 500},
		"the largest is 1000000": {"/inject", strings.Repeat(" ", maxReview+1), 413},
		"not an object":          {"/validate", review("split.smi-spec.io", "TrafficSplit", "CREATE", "production", `[]`, ""), 400},
		"no object at all":       {"/validate", review("split.smi-spec.io", "TrafficSplit", "CREATE", "production", `null`, ""), 400},
	} {
		if code, _, msg := post(t, c.path, c.body); code != c.code {
			t.Errorf("%s: code %d (%s), want %d", name, code, msg, c.code)
		}
	}
	rec := httptest.NewRecorder()
	webhook(new(bytes.Buffer)).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/inject", nil))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET answers %d", rec.Code)
	}
}

func TestValidateWebhook(t *testing.T) {
	split := func(weights ...string) string {
		out := `{"metadata":{"name":"api-canary"},"spec":{"service":"api","backends":[`
		for i, w := range weights {
			out += fmt.Sprintf(`%s{"service":"api-%s","weight":%s}`, map[bool]string{true: ","}[i > 0], []string{"stable", "canary"}[i%2], w)
		}
		return out + `]}}`
	}
	route := func(parent, backends, match string) string {
		return fmt.Sprintf(`{"metadata":{"name":"r"},"spec":{"parentRefs":[%s],"rules":[{"backendRefs":[%s],"matches":[%s]}]}}`, parent, backends, match)
	}
	const mesh, gateway = `{"group":"","kind":"Service","name":"api"}`, `{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"g"}`
	for name, c := range map[string]struct {
		kind, op, object, old string
		refused               string // part of the message; "" means allowed
		warning               string // part of the warnings; "" means none
	}{
		"quantities":         {"TrafficSplit", "CREATE", split(`"900m"`, `"100m"`), "", "", ""},
		"integers":           {"TrafficSplit", "CREATE", split(`90`, `10`), "", "", ""},
		"negative":           {"TrafficSplit", "CREATE", split(`90`, `-1`), "", `spec.backends[1].weight: bad weight "-1": it is negative`, ""},
		"negative quantity":  {"TrafficSplit", "CREATE", split(`"-900m"`, `1`), "", "spec.backends[0].weight", ""},
		"unparsable":         {"TrafficSplit", "CREATE", split(`"much"`, `1`), "", `spec.backends[0].weight: bad weight "much": write an integer such as 90`, ""},
		"a list":             {"TrafficSplit", "CREATE", split(`[1]`, `1`), "", "spec.backends[0].weight", ""},
		"huge":               {"TrafficSplit", "CREATE", split(`"9E"`, `1`), "", "the largest is 1000000", ""},
		"all zero":           {"TrafficSplit", "CREATE", split(`0`, `"0m"`), "", "", "the usable backends have no weight"},
		"all faults at once": {"TrafficSplit", "CREATE", split(`-1`, `-2`), "", "spec.backends[1].weight", ""},
		"missing backend": {"TrafficSplit", "CREATE", `{"spec":{"service":"api","backends":[{"service":"gone","weight":1}]}}`, "", "",
			"spec.backends[0].service: service gone does not exist in namespace production yet"},
		"missing apex":          {"TrafficSplit", "CREATE", `{"spec":{"service":"gone","backends":[{"service":"api","weight":1}]}}`, "", "", "spec.service"},
		"no backends":           {"TrafficSplit", "CREATE", `{"spec":{"service":"api"}}`, "", "spec.backends: required field is missing", ""},
		"no spec":               {"TrafficSplit", "CREATE", `{}`, "", "spec", ""},
		"metadata only":         {"TrafficSplit", "UPDATE", split(`-1`), split(` -1 `), "", ""},
		"spec made worse":       {"TrafficSplit", "UPDATE", split(`-1`), split(`1`), "negative", ""},
		"delete":                {"TrafficSplit", "DELETE", `null`, split(`-1`), "", ""},
		"finalizer":             {"TrafficSplit", "UPDATE", `{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"spec":{"backends":[]}}`, split(`1`), "", ""},
		"route":                 {"HTTPRoute", "CREATE", route(mesh, `{"name":"api-stable","port":80,"weight":90},{"name":"api-canary","port":80}`, ""), "", "", ""},
		"route negative":        {"HTTPRoute", "CREATE", route(mesh, `{"name":"api-stable","weight":-5}`, ""), "", "HTTPRoute production/r: spec.rules[0].backendRefs[0].weight: the weight -5 is not between 0 and", "no backend has a weight above 0"},
		"route all zero":        {"HTTPRoute", "CREATE", route(mesh, `{"name":"api-stable","weight":0}`, ""), "", "", "spec.rules[0].backendRefs: no backend has a weight above 0"},
		"route missing":         {"HTTPRoute", "CREATE", route(mesh, `{"name":"gone"}`, ""), "", "", "spec.rules[0].backendRefs[0].name"},
		"route elsewhere":       {"HTTPRoute", "CREATE", route(mesh, `{"name":"api","namespace":"other"}`, ""), "", "", "namespace other"},
		"route pattern":         {"HTTPRoute", "CREATE", route(mesh, `{"name":"api"}`, `{"path":{"type":"RegularExpression","value":"["}}`), "", "spec.rules[0].matches[0].path.value", ""},
		"somebody else's route": {"HTTPRoute", "CREATE", route(gateway, `{"name":"gone","weight":-5}`, ""), "", "", ""},
		"other kind":            {"GRPCRoute", "CREATE", `{"spec":{"x":-1}}`, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			group := "gateway.networking.k8s.io"
			if c.kind == "TrafficSplit" {
				group = "split.smi-spec.io"
			}
			_, resp, msg := post(t, "/validate", review(group, c.kind, c.op, "production", c.object, c.old))
			if resp == nil {
				t.Fatal(msg)
			}
			if resp.Allowed != (c.refused == "") {
				t.Fatalf("allowed %v: %v", resp.Allowed, resp.Result)
			}
			if !resp.Allowed && !strings.Contains(resp.Result.Message, c.refused) {
				t.Errorf("message %q, want %q", resp.Result.Message, c.refused)
			}
			warned := strings.Join(resp.Warnings, "\n")
			if !strings.Contains(warned, c.warning) || (c.warning == "") != (warned == "") {
				t.Errorf("warnings %q, want %q", warned, c.warning)
			}
		})
	}
}

// FuzzWebhook feeds anything to both paths: no panic, and a patch only for a
// pod that can be read.
func FuzzWebhook(f *testing.F) {
	for _, s := range []string{
		"", "{", "null", "[]",
		review("", "Pod", "CREATE", "production", `{"metadata":{"name":"p","annotations":{"config.linkerd.io/skip-subnets":"10.0.0.0/8"}},"spec":{"containers":[{"name":"a"}]}}`, ""),
		review("", "Pod", "CREATE", "production", `{"spec":null}`, ""),
		review("split.smi-spec.io", "TrafficSplit", "UPDATE", "production", `{"spec":{"service":"a","backends":[{"weight":"1e9"}]}}`, `{"spec":{}}`),
		review("gateway.networking.k8s.io", "HTTPRoute", "CREATE", "production", `{"spec":{"parentRefs":[{"kind":"Service"}],"rules":[{"backendRefs":[{"weight":1.5}]}]}}`, ""),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/inject", "/validate"} {
			rec := httptest.NewRecorder()
			webhook(new(bytes.Buffer)).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
			if rec.Code != http.StatusOK {
				continue
			}
			var out admissionv1.AdmissionReview
			if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil || out.Response == nil {
				t.Fatalf("%s: answer %q: %v", path, rec.Body, err)
			}
			if len(out.Response.Patch) > 0 && !json.Valid(out.Response.Patch) {
				t.Fatalf("patch is not JSON: %s", out.Response.Patch)
			}
		}
	})
}
