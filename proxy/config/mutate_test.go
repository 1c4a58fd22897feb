package config

import (
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weftmesh/weft/proxy/upstream"
)

// Damaged resources are decoded or refused in bounded time, without a panic.
func TestDamagedResources(t *testing.T) {
	seeds := []proto.Message{
		detectListener("x", "x", "c"), inboundListener(inboundChains(80, "http", false)), tcpListener(virtualOutbound, "o", upstream.PassthroughCluster),
		routesTo("x", map[string]uint32{"a": 1, "b": 2}), edsCluster("x"), assignmentOf("x", "10.0.0.1", "fd00::1"), rootsSecret([]byte("x")),
		routesWith("x", everything()), specialListener(detectListener("x", "h:1", "c")), originating("MUTUAL", nil),
	}
	r := rand.New(rand.NewPCG(5, 5))
	for _, m := range seeds {
		whole := wire(t, m)
		for i := 0; i < 3000; i++ {
			b := append([]byte(nil), whole...)
			for j := r.IntN(4); j >= 0; j-- {
				b[r.IntN(len(b))] = byte(r.Uint32())
			}
			b = b[:len(b)-r.IntN(1+len(b)/4)]
			start := time.Now()
			_ = read(nameOf(m), m, b)
			_, _ = decodeResponse(b)
			if d := time.Since(start); d > 5*time.Second {
				t.Fatalf("%T: %v for %d bytes %x", m, d, len(b), b)
			}
		}
	}
}
