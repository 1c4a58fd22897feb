//go:build e2e

package gateway_test

import (
	"fmt"
	"testing"
)

// A WebSocket is a request until it is answered: it follows the rules of the
// route, over HTTP/1.1 as over HTTP/2, and carries messages both ways then.
func TestWebSocketsFollowTheRoute(t *testing.T) {
	t.Parallel()
	b := newBed(t, "websockets")
	b.route("websockets", `
    - {matches: [{path: {type: PathPrefix, value: /websocket/one}}], backendRefs: [{name: v1, port: 80}]}
    - matches: [{path: {type: PathPrefix, value: /old}, headers: [{name: x-tenant, value: a}]}]
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /websocket}}}]
      backendRefs: [{name: v2, port: 80}]
    - {matches: [{path: {type: PathPrefix, value: /websocket/none}}], backendRefs: [{name: gone, port: 80}]}`)
	b.accepted("httproute", "websockets", "api Accepted=True/Accepted ResolvedRefs=False/BackendNotFound")
	for _, proto := range []string{"websocket", "websocket-h2"} {
		ask := func(path string, args ...string) []string {
			return append([]string{"-proto", proto, "-target", "http://api" + path, "-rate", "50", "-n", "40"}, args...)
		}
		for version, args := range map[string][]string{"v1": ask("/websocket/one"), "v2": ask("/old/things", "-header", "x-tenant=a")} {
			b.Eventually(limit, func() error {
				r, err := b.client.Load(b.Context(), args...)
				if err == nil {
					err = r.Problem()
				}
				if err == nil && r.Share(version) != 1 {
					err = fmt.Errorf("answered by %v, not by %s", r.Versions, version)
				}
				if err != nil {
					err = fmt.Errorf("%v: %w", args, err)
				}
				return err
			})
		}
		for status, args := range map[string][]string{"500": ask("/websocket/none"), "404": ask("/old/things")} {
			r, err := b.client.Load(b.Context(), args...)
			if err != nil || r.Codes[status] != r.Sent {
				t.Errorf("%v: %v %s, not %s: %v", args, r.Codes, r.Why(), status, err)
			}
		}
	}
}
