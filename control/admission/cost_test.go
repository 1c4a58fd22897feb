package admission

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// TestCostIsBounded: what a judgement costs does not grow with the product of
// what an object names. It counts bytes that are allocated.
func TestCostIsBounded(t *testing.T) {
	head := func(version, kind, name string) string {
		return `{"apiVersion":"` + version + `","kind":"` + kind + `","metadata":{"name":"` + name + `","namespace":"shop"},"spec":`
	}
	list := func(n int, f string) string {
		var out []string
		for i := range n {
			out = append(out, strings.ReplaceAll(strings.ReplaceAll(f, "PORT", fmt.Sprint(1000+i)), "#", fmt.Sprint(i)))
		}
		return "[" + strings.Join(out, ",") + "]"
	}
	const istio = "networking.istio.io/v1"
	for name, object := range map[string]func(n int) string{
		"hosts, ports and rules": func(n int) string {
			return head(istio, "VirtualService", "v") + `{"hosts":` + list(n/2, `"h#"`) + `,"http":` + list(n, `{"match":[{"uri":{"prefix":"/p#"}}],"timeout":"-1s","route":[{"destination":{"host":"h#","port":{"number":PORT}}}]}`) + `}}`
		},
		"matched ports": func(n int) string {
			return head(istio, "VirtualService", "v") + `{"hosts":["a"],"http":` + list(n, `{"match":[{"port":PORT},{"uri":{"prefix":"/p#"}}],"timeout":"-1s","route":[{"destination":{"host":"b"}}]}`) + `}}`
		},
		"matched ports of a delegate": func(n int) string {
			return head(istio, "VirtualService", "v") + `{"http":` + list(n, `{"match":[{"port":PORT},{"uri":{"prefix":"/p#"}}],"timeout":"-1s","route":[{"destination":{"host":"b"}}]}`) + `}}`
		},
		"names and hosts": func(n int) string {
			return head(istio, "VirtualService", "v") + `{"hosts":` + list(n, `"h#.example.com"`) + `,"tls":` + list(n, `{"match":[{"port":PORT,"sniHosts":["h#.example.com"]}],"route":[{"destination":{"host":"b","port":{"number":PORT}}}]}`) + `}}`
		},
		"parents and rules": func(n int) string {
			return head("gateway.networking.k8s.io/v1", "HTTPRoute", "v") + `{"parentRefs":` + list(n, `{"kind":"Service","group":"","name":"p#"}`) + `,"rules":` + list(n, `{"backendRefs":[{"name":"b","port":PORT,"weight":-1}]}`) + `}}`
		},
		"a service's own ports and routes": func(n int) string {
			return head("linkerd.io/v1alpha2", "ServiceProfile", "api.shop.svc.cluster.local") + `{"dstOverrides":` + list(n, `{"authority":"api.shop.svc.cluster.local:PORT","weight":1}`) + `,"routes":` + list(n, `{"name":"r#","condition":{"pathRegex":"/r#"}}`) + `}}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			cost := func(n int) (bytes uint64, warnings []string) {
				raw := []byte(object(n))
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, warnings, err := Judge{}.Judge(t.Context(), raw, nil)
				runtime.ReadMemStats(&after)
				if err != nil {
					t.Fatal(err)
				}
				return after.TotalAlloc - before.TotalAlloc, warnings
			}
			few, _ := cost(100)
			many, warnings := cost(800)
			t.Logf("%d kB, and for eight times as much %d kB; %q", few>>10, many>>10, warnings[:min(len(warnings), 3)])
			if many > 16*few {
				t.Errorf("%d kB, and for eight times as much %d kB", few>>10, many>>10)
			}
		})
	}
}
