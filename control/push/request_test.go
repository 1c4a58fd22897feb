package push

import (
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/control/xds"
)

func TestNamesAreBounded(t *testing.T) {
	many := make([]string, maxNames+1)
	for _, c := range []struct {
		name string
		had  int
		ask  []string
		want codes.Code
	}{
		{"few", 1, []string{"10.0.0.1_80"}, codes.OK},
		{"none", maxNames, nil, codes.OK},
		{"many", 0, many, codes.ResourceExhausted},
		{"many together", maxNames, []string{"a"}, codes.ResourceExhausted},
		{"long", 0, []string{"a", strings.Repeat("x", maxName+1)}, codes.InvalidArgument},
		{"just so long", 0, []string{strings.Repeat("x", maxName)}, codes.OK},
	} {
		if got := status.Code(checkNames(xds.ListenerType, c.had, c.ask)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestReasonsAreShortened(t *testing.T) {
	long := strings.Repeat("ü", maxReason)
	if got := shortened(long); len(got) > maxReason+len("…") || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
		t.Errorf("%d bytes, ends in %q", len(got), got[len(got)-6:])
	}
	if got := shortened("no such field"); got != "no such field" {
		t.Errorf("%q", got)
	}
}
