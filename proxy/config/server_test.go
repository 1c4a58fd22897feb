package config

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// server is a delta ADS server that the tests steer.
type server struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	t    *testing.T
	addr string
	grpc *grpc.Server

	mu        sync.Mutex
	version   int
	resources map[string]map[string]*discovery.Resource // type → name
	silent    map[string]bool                           // names that get no answer
	streams   map[*stream]bool
	opened    int
	requests  []*discovery.DeltaDiscoveryRequest
	changed   chan struct{} // closed at each change of the above
}

type stream struct {
	send func(*discovery.DeltaDiscoveryResponse) error
	subs map[string]map[string]string // type → name → version sent
}

func newServer(t *testing.T) *server {
	s := &server{t: t, resources: map[string]map[string]*discovery.Resource{}, silent: map[string]bool{}, streams: map[*stream]bool{}, changed: make(chan struct{})}
	s.listen("127.0.0.1:0")
	t.Cleanup(s.stop)
	return s
}

func (s *server) listen(addr string) {
	s.t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.addr == "" { // the client reads it when it dials again
		s.addr = ln.Addr().String()
	}
	s.grpc = grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(s.grpc, s)
	go func(g *grpc.Server) { _ = g.Serve(ln) }(s.grpc)
}

func (s *server) stop() { s.grpc.Stop() }

func (s *server) note() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) DeltaAggregatedResources(ss discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	st := &stream{send: ss.Send, subs: map[string]map[string]string{}}
	s.mu.Lock()
	s.streams[st] = true
	s.opened++
	s.note()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.streams, st)
		s.note()
		s.mu.Unlock()
	}()
	for {
		r, err := ss.Recv()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.requests = append(s.requests, r)
		subs := st.subs[r.TypeUrl]
		if subs == nil {
			subs = map[string]string{}
			st.subs[r.TypeUrl] = subs
		}
		for _, n := range r.ResourceNamesUnsubscribe {
			delete(subs, n)
		}
		for _, n := range r.ResourceNamesSubscribe {
			subs[n] = r.InitialResourceVersions[n]
		}
		s.answer(st, r.TypeUrl, r.ResourceNamesSubscribe)
		s.note()
		s.mu.Unlock()
	}
}

// answer sends what the stream lacks of the names. It is called with the lock.
func (s *server) answer(st *stream, typ string, names []string) {
	out := &discovery.DeltaDiscoveryResponse{TypeUrl: typ}
	for _, n := range names {
		have, subscribed := st.subs[typ][n]
		if !subscribed || s.silent[n] {
			continue
		}
		if r := s.resources[typ][n]; r == nil {
			out.RemovedResources = append(out.RemovedResources, n)
			st.subs[typ][n] = ""
		} else if r.Version != have {
			out.Resources = append(out.Resources, r)
			st.subs[typ][n] = r.Version
		}
	}
	if len(out.Resources)+len(out.RemovedResources) > 0 {
		s.version++
		out.Nonce = fmt.Sprint("n", s.version)
		_ = st.send(out)
	}
}

// set changes resources and pushes each to the streams that want it, in order.
func (s *server) set(ms ...proto.Message) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range ms {
		a, err := anypb.New(m)
		if err != nil {
			s.t.Fatal(err)
		}
		name := nameOf(m)
		s.version++
		if s.resources[a.TypeUrl] == nil {
			s.resources[a.TypeUrl] = map[string]*discovery.Resource{}
		}
		s.resources[a.TypeUrl][name] = &discovery.Resource{Name: name, Version: fmt.Sprint("v", s.version), Resource: a}
		for st := range s.streams {
			s.answer(st, a.TypeUrl, []string{name})
		}
	}
}

func (s *server) remove(typ, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.resources[typ], name)
	for st := range s.streams {
		s.answer(st, typ, []string{name})
	}
}

// mute keeps the server from answering for names; unmute makes up for it.
func (s *server) mute(names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		s.silent[n] = true
	}
}

func (s *server) unmute(typ string, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range names {
		delete(s.silent, n)
	}
	for st := range s.streams {
		s.answer(st, typ, names)
	}
}

// until waits for a condition on the server's state.
func (s *server) until(what string, ok func() bool) {
	s.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		good, changed := ok(), s.changed
		s.mu.Unlock()
		if good {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			s.t.Fatalf("not in time: %s", what)
		}
	}
}

// subscribed says whether any stream wants the name. It is called with the lock.
func (s *server) subscribed(typ, name string) bool {
	for st := range s.streams {
		if _, ok := st.subs[typ][name]; ok {
			return true
		}
	}
	return false
}

// dial opens a stream with a gRPC client that leaves messages as they are.
func (s *server) dial(ctx context.Context) (Stream, error) {
	cc, err := grpc.NewClient(s.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	st, err := cc.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, Method, grpc.ForceCodec(rawCodec{}))
	if err != nil {
		_ = cc.Close()
		return nil, err
	}
	return &rawStream{cc, st}, nil
}

type rawStream struct {
	cc *grpc.ClientConn
	st grpc.ClientStream
}

func (r *rawStream) Send(b []byte) error { return r.st.SendMsg(&b) }
func (r *rawStream) Recv() ([]byte, error) {
	var b []byte
	err := r.st.RecvMsg(&b)
	return b, err
}
func (r *rawStream) Close() { _ = r.cc.Close() }

type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), b...)
	return nil
}
func (rawCodec) Name() string { return "proto" }
