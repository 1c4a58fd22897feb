package version

import (
	"bytes"
	"testing"

	"github.com/weftmesh/weft/cli/console"
)

func TestWords(t *testing.T) {
	r := report{Client: "v2", Server: "v1", Proxies: map[string]int{"v1": 3, "v0": 1}}
	for name, c := range map[string]struct {
		print func(console.Console, report, request) error
		req   request
		want  string
	}{
		"linkerd":       {printLinkerd, request{}, "Client version: v2\nServer version: v1\n"},
		"linkerd short": {printLinkerd, request{short: true}, "v2\nv1\n"},
		"linkerd proxy": {printLinkerd, request{proxy: true}, "Client version: v2\nServer version: v1\nProxy versions:\n\tv0 (1 pods)\n\tv1 (3 pods)\n"},
		"client":        {printLinkerd, request{client: true}, "Client version: v2\n"},
		"istio":         {printIstio, request{}, "client version: v2\ncontrol plane version: v1\ndata plane version: v0 (1 proxies), v1 (3 proxies)\n"},
		"istio client":  {printIstio, request{client: true}, "client version: v2\n"},
	} {
		var out bytes.Buffer
		if err := c.print(console.Console{Out: &out, Err: new(bytes.Buffer)}, r, c.req); err != nil || out.String() != c.want {
			t.Errorf("%s: got %q, %v", name, out.String(), err)
		}
	}
}
