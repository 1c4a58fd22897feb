package push

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/identity"
)

// Identify returns the proven identity of the caller of a stream, or an error
// that says why there is none.
type Identify func(context.Context) (identity.ID, error)

// Settings of a Server.
type Settings struct {
	// Store has the resources.
	Store *snapshot.Store
	// Identify proves who calls; required.
	Identify Identify
	Log      *slog.Logger
	// Metrics may be nil.
	Metrics *Metrics
}

// Server is the aggregated discovery service.
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	settings Settings
	proxies  registry
	siblings *siblings
}

var _ discoveryv3.AggregatedDiscoveryServiceServer = (*Server)(nil)

// NewServer makes a Server; Register attaches it to a gRPC server.
func NewServer(s Settings) *Server {
	if s.Metrics == nil {
		s.Metrics = NewMetrics(nil)
	}
	return &Server{settings: s, proxies: registry{streams: map[*record]struct{}{}}, siblings: newSiblings()}
}

// Register attaches the service to a gRPC server.
func (s *Server) Register(g grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, s)
}

// Proxies returns the state of every open stream, sorted by node.
func (s *Server) Proxies() []Proxy { return s.proxies.list() }

// DeltaAggregatedResources serves one delta stream.
func (s *Server) DeltaAggregatedResources(g discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return serve(g.Context(), s, g.Recv, func(sess *session) protocol[*discoveryv3.DeltaDiscoveryRequest] {
		return &delta{session: sess, send: g.Send, types: map[string]*deltaType{}}
	}, "delta")
}

// StreamAggregatedResources serves one state-of-the-world stream.
func (s *Server) StreamAggregatedResources(g discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return serve(g.Context(), s, g.Recv, func(sess *session) protocol[*discoveryv3.DiscoveryRequest] {
		return &world{session: sess, send: g.Send, types: map[string]*worldType{}}
	}, "sotw")
}

// protocol is one of the two dialects of a stream.
type protocol[R any] interface {
	// request takes one request and answers what can be answered at once.
	request(R) error
	// push sends what changed.
	push() error
	// close ends what lasts as long as the stream.
	close()
}

// session is what the dialects share: the client, its hold on the resources,
// its record.
type session struct {
	server *Server
	client snapshot.Client
	holder *snapshot.Holder
	record *record
	nonces uint64
	kin    kin
}

type request interface {
	GetNode() *corev3.Node
}

// serve runs a stream until the client leaves, the connection breaks, or the
// client breaks the rules.
func serve[R request](ctx context.Context, s *Server, recv func() (R, error), open func(*session) protocol[R], dialect string) error {
	id, err := s.settings.Identify(ctx)
	if err != nil {
		return status.Errorf(codes.Unauthenticated, "discovery needs a client certificate of the mesh: %v", err)
	}
	first, err := recv()
	if err != nil {
		return ended(err)
	}
	client, err := clientOf(first.GetNode(), id)
	if err != nil {
		s.settings.Log.Warn("proxy refused", "identity", id.String(), "node", first.GetNode().GetId(), "error", err)
		return status.Error(codes.PermissionDenied, err.Error())
	}
	// Until there is a mesh nobody may be told that something does not exist.
	select {
	case <-s.settings.Store.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	changed := make(chan struct{}, 1)
	sess := &session{server: s, client: client, kin: kin{id, first.GetNode().GetMetadata().GetFields()["WEFT_OWNER"].GetStringValue()}}
	sess.holder = s.settings.Store.Attach(client, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer sess.holder.Close()
	sess.record = s.proxies.open(first.GetNode(), id, client, dialect)
	s.settings.Metrics.connected(dialect, 1)
	defer func() {
		s.proxies.close(sess.record)
		s.settings.Metrics.connected(dialect, -1)
	}()
	log := s.settings.Log.With("node", first.GetNode().GetId(), "protocol", dialect)
	log.Debug("proxy connected")
	defer log.Debug("proxy disconnected")

	p := open(sess)
	defer p.close()
	requests, failed := receive(ctx, recv)
	if err := p.request(first); err != nil {
		return ended(err)
	}
	for {
		select {
		case r := <-requests:
			if err := p.request(r); err != nil {
				return ended(err)
			}
		case <-changed:
			if err := p.push(); err != nil {
				return ended(err)
			}
		case err := <-failed:
			return ended(err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// receive reads requests one by one; the client's own flow control holds back
// those that are not yet wanted.
func receive[R any](ctx context.Context, recv func() (R, error)) (<-chan R, <-chan error) {
	requests, failed := make(chan R), make(chan error, 1)
	go func() {
		for {
			r, err := recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	return requests, failed
}

// ended turns a clean end of the client's side into success.
func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// timed measures one push for the metrics.
func (s *session) timed(typ string, resources, bytes int, send func() error) error {
	start := time.Now()
	err := send()
	s.server.settings.Metrics.pushed(typ, resources, bytes, time.Since(start))
	return err
}
