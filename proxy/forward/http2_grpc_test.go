package forward

import (
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
)

func TestGRPCTimeoutField(t *testing.T) {
	for v, want := range map[string]time.Duration{"1n": 1, "5u": 5000, "100m": 100 * time.Millisecond, "2S": 2 * time.Second, "3M": 3 * time.Minute,
		"1H": time.Hour, "99999999H": 1 << 62, "0m": 0, "": -1, "1": -1, "m": -1, "-1m": -1, "1x": -1, "123456789m": -1, "1.5S": -1, " 1S": -1} {
		got, ok := grpcTimeout([]http.Field{{Name: []byte("Grpc-Timeout"), Value: []byte(v)}})
		if ok != (want >= 0) || (ok && got != want) {
			t.Errorf("%q: got %v %v, want %v", v, got, ok, want)
		}
	}
	if _, ok := grpcTimeout(nil); ok {
		t.Error("a timeout without a field")
	}
}

func TestIsGRPC(t *testing.T) {
	for v, want := range map[string]bool{"application/grpc": true, "application/grpc+proto": true, "application/grpc;x=y": true,
		"application/grpc-web": false, "application/json": false, "": false} {
		if isGRPC([]http.Field{{Name: []byte("content-type"), Value: []byte(v)}}) != want {
			t.Errorf("%q is not %v", v, want)
		}
	}
}

func TestPercentEncode(t *testing.T) {
	for in, want := range map[string]string{"": "", "plain text": "plain text", " a ": "%20a%20", "100%": "100%25", "ü\n": "%C3%BC%0A"} {
		if got := string(percentEncode(in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzGRPCTimeout(f *testing.F) {
	for _, s := range []string{"1S", "99999999H", "x", "12"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if d, ok := grpcTimeout([]http.Field{{Name: []byte("grpc-timeout"), Value: v}}); ok && d < 0 {
			t.Errorf("%q is %v", v, d)
		}
	})
}
