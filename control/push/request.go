package push

import (
	"slices"
	"strings"

	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/control/xds"
)

// Limits of what one stream makes the control plane keep.
const (
	// maxNames of one type.
	maxNames = 50_000
	// maxName is the length of a name, in bytes: a DNS name and what stands
	// around it are far from it.
	maxName = 1024
	// maxReason is how much of the reason of a refusal is kept, in bytes.
	maxReason = 2048
)

// checkNames refuses a client that asks for more, or for longer names, than any
// honest one does; it had so many names before.
func checkNames(t xds.Type, had int, ask []string) error {
	if had+len(ask) > maxNames {
		return status.Errorf(codes.ResourceExhausted, "more than %d names of type %s on one stream", maxNames, t.Short())
	}
	for _, n := range ask {
		if len(n) > maxName {
			return status.Errorf(codes.InvalidArgument, "a name of type %s has %d bytes, more than %d", t.Short(), len(n), maxName)
		}
	}
	return nil
}

// shortened keeps the beginning of a reason.
func shortened(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason], "") + "…"
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
		message = shortened(message)
		s.server.settings.Metrics.refused(xds.Type(typeURL).Short())
		s.server.settings.Log.Warn("proxy refused configuration", "proxy", s.record.proxy.Node, "type", xds.Type(typeURL).Short(), "error", message)
	}
	s.record.answered(typeURL, nonce, message)
}
