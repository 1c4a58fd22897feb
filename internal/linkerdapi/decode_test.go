package linkerdapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func doc(version, spec string) []byte {
	return fmt.Appendf(nil, `{"apiVersion":%q,"kind":"ServiceProfile","metadata":{"name":"api.n.svc.cluster.local","namespace":"n"},"spec":{%s}}`, version, spec)
}

func TestDecodeEveryVersion(t *testing.T) {
	for _, v := range ProfileVersions {
		o, unknown, err := Decode(doc("linkerd.io/"+v, `"routes":[{"name":"r","condition":{"method":"GET"},"retries":{"isRetryable":true,"maxRetries":3},"timeout":"30s","new":1}],
			"dstOverrides":[{"authority":"b.n.svc.cluster.local:80","weight":"900m"},{"authority":"c","weight":1}]`))
		if err != nil || len(unknown) != 1 {
			t.Fatalf("%s: %v, unknown %v", v, err, unknown)
		}
		p := o.(*ServiceProfile)
		if r := p.Spec.Routes[0]; r.Name != "r" || *r.Retries.MaxRetries != 3 || p.Spec.DstOverrides[0].Weight.MilliValue() != 900 || p.Spec.DstOverrides[1].Weight.MilliValue() != 1000 {
			t.Errorf("%s: got %+v", v, p.Spec)
		}
	}
	for _, v := range ServerVersions {
		o, _, err := Decode(fmt.Appendf(nil, `{"apiVersion":"policy.linkerd.io/%s","kind":"Server","metadata":{"name":"s"},"spec":{"podSelector":{},"port":"http","proxyProtocol":"HTTP/2"}}`, v))
		if err != nil || o.(*Server).Spec.Port.StrVal != "http" {
			t.Errorf("%s: %v", v, err)
		}
	}
	for _, v := range HTTPRouteVersions {
		o, _, err := Decode(fmt.Appendf(nil, `{"apiVersion":"policy.linkerd.io/%s","kind":"HTTPRoute","metadata":{"name":"s"},"spec":{"rules":[{"timeouts":{"request":"1s"}}]}}`, v))
		if err != nil || *o.(*HTTPRoute).Spec.Rules[0].Timeouts.Request != "1s" {
			t.Errorf("%s: %v", v, err)
		}
	}
}

func TestDecodeTellsEveryFault(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 20) + `{"method":"GET"}` + strings.Repeat("}", 20)
	_, _, err := Decode(doc("linkerd.io/v1alpha2", `"routes":[{"condition":{"pathRegex":"("},"timeout":"-1s","retries":{"maxRetries":-1}},{"name":"a"},{"name":"b","condition":{"method":"A B"}},{"name":"c","condition":`+deep+`}],
		"retryBudget":{"retryRatio":2000,"minRetriesPerSecond":-1,"ttl":"2h"},"dstOverrides":[{"authority":"a b","weight":-1}],"opaquePorts":["0"]`))
	if !errors.Is(err, ErrValue) || !errors.Is(err, ErrMissing) {
		t.Fatal(err)
	}
	for _, want := range []string{"spec.routes[0].name: required", "spec.routes[0].condition.pathRegex", "spec.routes[0].timeout: bad value: \"-1s\" is negative", "spec.routes[0].retries.maxRetries",
		"spec.routes[1].condition: required", "spec.routes[2].condition.method", "nested more than 16 deep", "spec.retryBudget.retryRatio", "spec.retryBudget.minRetriesPerSecond", "spec.retryBudget.ttl",
		"spec.dstOverrides[0].authority", "spec.dstOverrides[0].weight", "spec.opaquePorts[0]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in\n%v", want, err)
		}
	}
	for name, d := range map[string][]byte{
		"version": doc("linkerd.io/v2", ""), "group": doc("example.com/v1alpha2", ""), "not JSON": []byte("{"), "type": doc("linkerd.io/v1alpha2", `"routes":7`),
	} {
		if _, _, err := Decode(d); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// FuzzDecode: what is taken holds values that can be used.
func FuzzDecode(f *testing.F) {
	f.Add(doc("linkerd.io/v1alpha2", `"routes":[{"name":"r","condition":{"all":[{"method":"GET"},{"not":{"pathRegex":"/x"}}]},"timeout":"1s","responseClasses":[{"condition":{"any":[{"status":{"min":500}}]}}]}]`))
	f.Add(doc("linkerd.io/v1alpha1", `"retryBudget":{"retryRatio":0.2,"minRetriesPerSecond":10,"ttl":"10s"},"dstOverrides":[{"authority":"a:80","weight":"1e30"}]`))
	f.Add([]byte(`{"apiVersion":"policy.linkerd.io/v1beta3","kind":"Server","spec":{"podSelector":{},"port":1}}`))
	f.Add([]byte(`{"apiVersion":"policy.linkerd.io/v1beta3","kind":"HTTPRoute","spec":{"parentRefs":[{"name":"x"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, _, err := Decode(b)
		if err != nil {
			if o != nil {
				t.Fatal("an object beside an error")
			}
			return
		}
		p, ok := o.(*ServiceProfile)
		if !ok {
			return
		}
		for _, r := range p.Spec.Routes {
			d, err := time.ParseDuration(r.Timeout)
			if r.Name == "" || r.Condition == nil || r.Timeout != "" && (err != nil || d < 0) {
				t.Fatalf("taken: %+v", r)
			}
		}
		for i := range p.Spec.DstOverrides {
			if host, _, err := p.Spec.DstOverrides[i].Destination(); err != nil || host == "" || p.Spec.DstOverrides[i].Weight.Sign() < 0 {
				t.Fatalf("taken: %+v", p.Spec.DstOverrides[i])
			}
		}
	})
}
