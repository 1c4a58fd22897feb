package trace

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"github.com/weftmesh/weft/proxy/grpcwire"
	"github.com/weftmesh/weft/proxy/upstream"
)

// ErrNoCluster means that the configuration has no such collector.
var ErrNoCluster = errors.New("the collector's cluster is not known")

// Collectors sends spans to clusters, as any request goes there.
type Collectors struct{ Registry *upstream.Registry }

const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// unsampled keeps the collector's own proxy from making spans of exports, which
// it would export in turn.
var unsampled = sync.OnceValue(func() grpcwire.Metadata {
	s := Span{trace: newTrace(), id: [8]byte{7: 1}}
	s.traceparent()
	return grpcwire.Metadata{Key: traceparent, Value: string(s.header[:])}
})

// authorityOf is what the collector is called that a cluster stands for: the
// host and port of outbound|port|subset|host.
func authorityOf(cluster string) string {
	if parts := strings.Split(cluster, "|"); len(parts) == 4 {
		return parts[3] + ":" + parts[1]
	}
	return cluster
}

// Export implements Sender.
func (c Collectors) Export(ctx context.Context, cluster, authority string, request []byte) ([]byte, error) {
	cl := c.Registry.Cluster(cluster)
	if cl == nil {
		return nil, fmt.Errorf("%w: %s", ErrNoCluster, cluster)
	}
	var choice upstream.Choice
	choice.Reset(netip.AddrPort{})
	e, err := cl.Pick(ctx, &choice)
	if err != nil {
		return nil, err
	}
	if err := e.Enter(); err != nil {
		return nil, err
	}
	defer e.Leave()
	h, err := e.HTTP2(ctx)
	if err != nil {
		return nil, err
	}
	if authority == "" {
		authority = authorityOf(cluster)
	}
	return grpcwire.NewClient(h, "http", authority).Unary(ctx, exportMethod, request, unsampled())
}
