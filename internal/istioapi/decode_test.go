package istioapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

const header = `"apiVersion":"networking.istio.io/v1beta1","metadata":{"name":"n","namespace":"ns"},`

func TestDecode(t *testing.T) {
	o, unknown, err := Decode([]byte(`{` + header + `"kind":"VirtualService","status":{},"spec":{"hosts":["api"],"http":[{"timeout":"1m30s",
		"retries":{"attempts":3,"retryOn":"5xx","retryIgnorePreviousHosts":false},"fault":{"abort":{"httpStatus":503,"percentage":{"value":0.5}}},
		"headers":{"request":{"set":{"a":"b"}}},"route":[{"destination":{"host":"api"},"weight":1,"wieght":2}]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	vs := o.(*VirtualService)
	r := vs.Spec.Http[0]
	if vs.Namespace != "ns" || r.Timeout.AsDuration() != 90*time.Second || r.Retries.RetryIgnorePreviousHosts.GetValue() || r.Retries.RetryIgnorePreviousHosts == nil ||
		r.Fault.Abort.GetHttpStatus() != 503 || r.Headers.Request.Set["a"] != "b" || r.Fault.Abort.Percentage.Value != 0.5 {
		t.Errorf("got %v", vs.Spec)
	}
	if len(unknown) != 1 || unknown[0].Error() != "spec.http[0].route[0].wieght: unknown field" {
		t.Errorf("unknown: %v", unknown)
	}
	o, _, err = Decode([]byte(`{` + header + `"kind":"DestinationRule","spec":{"host":"api","trafficPolicy":{"outlierDetection":{"consecutive5xxErrors":0},"loadBalancer":{"simple":"LEAST_REQUEST"}}}}`))
	if err != nil || o.(*DestinationRule).Spec.TrafficPolicy.OutlierDetection.Consecutive_5XxErrors == nil {
		t.Errorf("%v, %v", o, err)
	}
}

// TestHostsAreReadInLowerCase: names of DNS mean the same in capital letters;
// nothing else does.
func TestHostsAreReadInLowerCase(t *testing.T) {
	for doc, want := range map[string]string{
		`"kind":"VirtualService","spec":{"hosts":["API.Shop"],"http":[{"route":[{"destination":{"host":"WEB","subset":"V1"}}],"mirrors":[{"destination":{"host":"M"}}]}],"tls":[{"match":[{"sniHosts":["A.Com"]}]}]}`: `["api.shop" "web" "V1" "m" "a.com"]`,
		`"kind":"DestinationRule","spec":{"host":"*.Shop.SVC","subsets":[{"name":"V1"}]}`:                      `["*.shop.svc" "V1"]`,
		`"kind":"ServiceEntry","spec":{"hosts":["Ex.COM","\u212a.com"],"ports":[{"number":80,"name":"HTTP"}]}`: `["ex.com" "\u212a.com" "HTTP"]`,
		`"kind":"Sidecar","spec":{"egress":[{"hosts":["./Ex.COM"]}]}`:                                          `["./ex.com"]`,
	} {
		o, _, err := Decode([]byte("{" + header + doc + "}"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		switch o := o.(type) {
		case *VirtualService:
			d := o.Spec.Http[0].Route[0].Destination
			got = append(o.Spec.Hosts, d.Host, d.Subset, o.Spec.Http[0].Mirrors[0].Destination.Host, o.Spec.Tls[0].Match[0].SniHosts[0])
		case *DestinationRule:
			got = []string{o.Spec.Host, o.Spec.Subsets[0].Name}
		case *ServiceEntry:
			got = append(o.Spec.Hosts, o.Spec.Ports[0].Name)
		case *Sidecar:
			got = o.Spec.Egress[0].Hosts
		}
		if s := fmt.Sprintf("%+q", got); s != want {
			t.Errorf("%s: %s, want %s", doc, s, want)
		}
	}
}

func TestDecodeTellsEveryFault(t *testing.T) {
	_, _, err := Decode([]byte(`{` + header + `"kind":"DestinationRule","spec":{"trafficPolicy":{"loadBalancer":{"simple":"FASTEST","consistentHash":{}},
		"connectionPool":{"tcp":{"maxConnections":"many","connectTimeout":"soon"},"http":7},"outlierDetection":{"consecutive5xxErrors":-1,"splitExternalLocalOriginErrors":"x"}},
		"subsets":{},"exportTo":[1]}}`))
	for _, want := range []string{"spec.host: required", "spec.trafficPolicy.loadBalancer.simple: bad value: only one of", "maxConnections: bad value: \"many\"", "connectTimeout",
		"spec.trafficPolicy.connectionPool.http: bad value: 7 stands where an object", "consecutive5xxErrors", "splitExternal", "spec.subsets", "spec.exportTo[0]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell %q", err, want)
		}
	}
	for doc, want := range map[string]error{
		"{": ErrJSON, `{"kind":"VirtualService","apiVersion":"networking.istio.io/v2"}`: ErrKind, `{` + header + `"kind":"EnvoyFilter"}`: ErrKind,
		`{` + header + `"kind":"Sidecar","spec":[]}`: ErrValue,
	} {
		if _, _, err := Decode([]byte(doc)); !errors.Is(err, want) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

// FuzzDecode: whatever is taken is of a known kind, and nothing panics.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`"kind":"VirtualService","spec":{"hosts":["a"],"http":[{"match":[{"headers":{"a":{}},"uri":{"exact":"x"}}]}]}`,
		`"kind":"DestinationRule","spec":{"host":"a","trafficPolicy":{"loadBalancer":{"warmup":{"duration":"1s","minimumPercent":5.5}}}}`,
		`"kind":"ServiceEntry","spec":{"hosts":["a"],"ports":[{"number":1e2,"name":"x"}],"resolution":1}`,
		`"kind":"Sidecar","spec":{"egress":[{"hosts":["./*"],"port":{"number":80}}]}`,
		`"kind":"WorkloadGroup","spec":{"template":{"ports":{"http":80}},"probe":{"httpGet":{"port":1}}}`,
		`"kind":"WorkloadEntry","spec":{"address":"10.0.0.1","weight":"3"}`} {
		f.Add([]byte("{" + header + s + "}"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		o, _, err := Decode(b)
		if (o == nil) == (err == nil) {
			t.Fatalf("%v, %v", o, err)
		}
	})
}
