package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weftmesh/weft/control/xds"
)

// name is a resource.
type name struct {
	typ  xds.Type
	name string
}

// client is a simulated proxy. It accepts everything that it gets.
type client struct {
	conn   *grpc.ClientConn
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	cancel context.CancelFunc
	node   *corev3.Node // until the first request is sent

	// queue is what is to be sent. A client that sends where it receives would
	// wait for a server that waits for it.
	queue chan *discoveryv3.DeltaDiscoveryRequest
	ctx   context.Context

	mu       sync.Mutex
	asked    map[name]bool   // and not answered yet
	versions map[name]string // "" is a name that does not exist
	arrived  map[name]time.Time
	changed  chan struct{}
	bytes    int
	count    int // resources received
	err      error
	follow   func(typ xds.Type, r *discoveryv3.Resource)
}

// sidecars of one namespace share an identity, as the pods of a deployment do.
func (a *authority) connect(ctx context.Context, address, agent, namespace, pod string, leaf tls.Certificate) (*client, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: a.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{leaf}})),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)), grpc.WithInitialWindowSize(1<<20), grpc.WithInitialConnWindowSize(4<<20))
	if err != nil {
		return nil, err
	}
	field := structpb.NewStringValue
	c := &client{conn: conn, asked: map[name]bool{}, versions: map[name]string{}, arrived: map[name]time.Time{}, changed: make(chan struct{}), node: &corev3.Node{
		Id: "sidecar~127.0.0.1~" + pod + "." + namespace + "~" + namespace + ".svc.cluster.local", UserAgentName: agent,
		Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{"NAMESPACE": field(namespace), "POD_NAME": field(pod), "SERVICE_ACCOUNT": field("default"), "WEFT_OWNER": field("deployment/" + pod)}}}}
	c.queue = make(chan *discoveryv3.DeltaDiscoveryRequest, 1024)
	c.ctx, c.cancel = context.WithCancel(ctx)
	ctx = c.ctx
	c.stream, err = discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		c.close()
		return nil, err
	}
	go c.sendAll()
	go c.receive()
	return c, nil
}

func (c *client) close() {
	c.cancel()
	// The control plane sees the broken connection; nothing else depends on it.
	_ = c.conn.Close()
}

func (c *client) send(r *discoveryv3.DeltaDiscoveryRequest) {
	select {
	case c.queue <- r:
	case <-c.ctx.Done():
	}
}

func (c *client) sendAll() {
	for {
		select {
		case r := <-c.queue:
			r.Node, c.node = c.node, nil
			// A broken stream shows where it is read.
			_ = c.stream.Send(r)
		case <-c.ctx.Done():
			return
		}
	}
}

// subscribe asks for names; none means all of the type.
func (c *client) subscribe(t xds.Type, names ...string) {
	c.mu.Lock()
	for _, n := range names {
		c.asked[name{t, n}] = true
	}
	if len(names) == 0 {
		c.asked[name{t, "*"}] = true
	}
	c.mu.Unlock()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: string(t), ResourceNamesSubscribe: names})
}

func (c *client) receive() {
	for {
		r, err := c.stream.Recv()
		now := time.Now()
		c.mu.Lock()
		if err != nil {
			c.err = err
			close(c.changed)
			c.changed = make(chan struct{})
			c.mu.Unlock()
			return
		}
		typ := xds.Type(r.GetTypeUrl())
		c.bytes += proto.Size(r)
		c.count += len(r.Resources)
		delete(c.asked, name{typ, "*"})
		for _, res := range r.Resources {
			n := name{typ, res.Name}
			c.versions[n], c.arrived[n] = res.Version, now
			delete(c.asked, n)
		}
		for _, gone := range r.RemovedResources {
			n := name{typ, gone}
			c.versions[n], c.arrived[n] = "", now
			delete(c.asked, n)
		}
		follow := c.follow
		c.mu.Unlock()
		c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
		if follow != nil {
			for _, res := range r.Resources {
				follow(typ, res)
			}
			follow(typ, nil)
		}
		c.mu.Lock()
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// wait waits for a condition, which is asked with the lock held.
func (c *client) wait(ctx context.Context, what string, ok func() bool) error {
	late := time.NewTimer(2 * time.Minute)
	defer late.Stop()
	for {
		c.mu.Lock()
		done, changed, err := ok(), c.changed, c.err
		c.mu.Unlock()
		switch {
		case done:
			return nil
		case err != nil:
			return fmt.Errorf("stream ended: %w", err)
		}
		select {
		case <-changed:
		case <-late.C:
			return fmt.Errorf("%w: %s", errTooLate, what)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answered waits until everything that was asked for is answered.
func (c *client) answered(ctx context.Context) error {
	return c.wait(ctx, "the first configuration of a proxy", func() bool { return len(c.asked) == 0 })
}

// version is what the client has of a name.
func (c *client) version(n name) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.versions[n]
}

// next collects names to ask for while a response is read.
type next struct {
	seen map[name]bool
	list map[xds.Type][]string
}

func (n *next) add(t xds.Type, s string) {
	if k := (name{t, s}); s != "" && !n.seen[k] {
		n.seen[k] = true
		n.list[t] = append(n.list[t], s)
	}
}

// chase makes the client ask for what it is led to: by listeners to routes, by
// routes to clusters and endpoints; a wildcard client has the clusters already.
func (c *client) chase(wild bool) {
	n := next{map[name]bool{}, map[xds.Type][]string{}}
	c.follow = func(t xds.Type, r *discoveryv3.Resource) {
		if r == nil {
			for t, names := range n.list {
				delete(n.list, t)
				c.subscribe(t, names...)
			}
			return
		}
		switch t {
		case xds.ListenerType:
			for _, route := range routesOf(r.Resource.Value) {
				n.add(xds.RouteType, route)
			}
		case xds.RouteType:
			if !wild {
				for _, cluster := range clustersOf(r.Resource.Value) {
					n.add(xds.ClusterType, cluster)
					n.add(xds.EndpointType, cluster)
				}
			}
		case xds.ClusterType:
			if wild {
				n.add(xds.EndpointType, r.Name)
			}
		}
	}
}

func routesOf(listener []byte) (out []string) {
	var l listenerv3.Listener
	if proto.Unmarshal(listener, &l) != nil {
		return nil
	}
	for _, chain := range append(l.FilterChains, l.DefaultFilterChain) {
		for _, f := range chain.GetFilters() {
			var h hcmv3.HttpConnectionManager
			if f.GetTypedConfig().UnmarshalTo(&h) == nil {
				out = append(out, h.GetRds().GetRouteConfigName())
			}
		}
	}
	return out
}

func clustersOf(routes []byte) (out []string) {
	var c routev3.RouteConfiguration
	if proto.Unmarshal(routes, &c) != nil {
		return nil
	}
	for _, h := range c.VirtualHosts {
		for _, r := range h.Routes {
			out = append(out, r.GetRoute().GetCluster())
			for _, w := range r.GetRoute().GetWeightedClusters().GetClusters() {
				out = append(out, w.Name)
			}
		}
	}
	return out
}
