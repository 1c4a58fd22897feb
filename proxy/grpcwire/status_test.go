package grpcwire

import (
	"strconv"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

// FuzzStatus: whatever a server says its status is.
func FuzzStatus(f *testing.F) {
	for _, s := range [][2]string{{"0", ""}, {"14", "a%20b"}, {"4294967296", "%"}, {"-1", "%4"}, {"", "%zz"}, {"x", "%e2%82%ac"}, {"013", "%%41"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, code, msg string) {
		s, ok := fromFields([]http.Field{{Name: []byte("grpc-status"), Value: []byte(code)}, {Name: []byte("grpc-message"), Value: []byte(msg)}})
		if !ok || s == nil {
			t.Fatal("no status")
		}
		n, err := strconv.ParseUint(code, 10, 32)
		switch {
		case err != nil && s.Code != Unknown, err == nil && s.Code != Code(n):
			t.Fatalf("%q is %v", code, s.Code)
		case err == nil && (len(s.Message) > len(msg) || !strings.Contains(msg, "%") && s.Message != msg):
			t.Fatalf("%q is %q", msg, s.Message)
		}
		_ = s.Error()
	})
}
