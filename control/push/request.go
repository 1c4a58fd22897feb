package push

import (
	"slices"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/control/xds"
)

// maxNames bounds what one stream may subscribe to of one type.
const maxNames = 50_000

func tooMany(t xds.Type) error {
	return status.Errorf(codes.ResourceExhausted, "more than %d names of type %s on one stream", maxNames, t.Short())
}

func served(t xds.Type) bool { return slices.Contains(xds.Types(), t) }

func unknownType(url string) error {
	return status.Errorf(codes.InvalidArgument, "resource type %q is not served", url)
}

// withoutWildcard returns the proper names, each once, and whether "*" is
// among them.
func withoutWildcard(names []string) (proper []string, all bool) {
	seen := make(map[string]struct{}, len(names))
	for _, n := range names {
		if n == wildcard {
			all = true
			continue
		}
		if _, ok := seen[n]; !ok && n != "" {
			seen[n] = struct{}{}
			proper = append(proper, n)
		}
	}
	return proper, all
}

// answered records an ACK or a NACK and logs the latter.
func (s *session) answered(typeURL, nonce string, detail *statuspb.Status) {
	message := ""
	if detail != nil {
		if message = detail.GetMessage(); message == "" {
			message = "refused without a reason"
		}
		s.server.settings.Metrics.refused(xds.Type(typeURL).Short())
		s.server.settings.Log.Warn("proxy refused configuration", "proxy", s.record.proxy.Node, "type", xds.Type(typeURL).Short(), "error", message)
	}
	s.record.answered(typeURL, nonce, message)
}
