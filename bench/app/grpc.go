package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
)

// Methods of the echo service. Messages are bytes without a schema.
const (
	Service = "bench.Echo"
	Unary   = "/" + Service + "/Unary"
	Stream  = "/" + Service + "/Stream"
)

// Bytes is a codec that passes messages as they are.
type Bytes struct{}

var _ encoding.CodecV2 = Bytes{}

// Marshal takes a *[]byte, or hands any other message to protobuf's codec.
func (Bytes) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.(*[]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
	}
	return encoding.GetCodecV2("proto").Marshal(v)
}

// Unmarshal fills a *[]byte, or hands any other message to protobuf's codec.
func (Bytes) Unmarshal(data mem.BufferSlice, v any) error {
	if b, ok := v.(*[]byte); ok {
		*b = data.Materialize()
		return nil
	}
	return encoding.GetCodecV2("proto").Unmarshal(data, v)
}

// Name is the content-subtype of clients.
func (Bytes) Name() string { return "proto" }

// StreamDesc describes the streaming method to clients.
func StreamDesc() *grpc.StreamDesc {
	return &grpc.StreamDesc{StreamName: "Stream", ServerStreams: true, ClientStreams: true}
}

// echo is the type that the service's description demands.
type echo interface{ unary() *[]byte }

type echoServer struct {
	count *atomic.Uint64
	body  []byte
}

func (s *echoServer) unary() *[]byte {
	s.count.Add(1)
	return &s.body
}

func (s *echoServer) stream(ss grpc.ServerStream) error {
	var m []byte
	for {
		if err := ss.RecvMsg(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := ss.SendMsg(s.unary()); err != nil {
			return err
		}
	}
}

func serveGRPC(l net.Listener, count *atomic.Uint64) error {
	s := &echoServer{count: count, body: []byte(strings.Repeat("x", Small))}
	d := grpc.ServiceDesc{ServiceName: Service, HandlerType: (*echo)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var m []byte
			if err := dec(&m); err != nil {
				return nil, err
			}
			return s.unary(), nil
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, ClientStreams: true, Handler: func(_ any, ss grpc.ServerStream) error { return s.stream(ss) }}},
	}
	counted := func(ctx context.Context, m any, _ *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		count.Add(1)
		return h(ctx, m)
	}
	// The health service is counted by the interceptor, which Unary passes by.
	g := grpc.NewServer(grpc.ForceServerCodecV2(Bytes{}), grpc.MaxConcurrentStreams(1<<20), grpc.UnaryInterceptor(counted))
	g.RegisterService(&d, s)
	healthpb.RegisterHealthServer(g, health.NewServer())
	return g.Serve(l)
}

func serveH2(l net.Listener, count *atomic.Uint64) error {
	body := []byte(strings.Repeat("x", Small))
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	s := http.Server{Protocols: &p, ReadHeaderTimeout: time.Minute, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1 << 20},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["Content-Type"] = []string{"application/json; charset=utf-8"}
			h["Cache-Control"] = []string{"no-cache"}
			h["X-App-Version"] = []string{"1.2.3"}
			h["Content-Length"] = []string{fmt.Sprint(len(body))}
			count.Add(1)
			_, _ = w.Write(body) // a client that left is not counted twice
		})}
	return s.Serve(l)
}
