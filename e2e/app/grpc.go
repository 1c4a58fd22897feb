package main

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// echoService answers a string with itself; it needs no generated code since
// both messages are well-known types.
const echoService = "weft.e2e.Echo"

// echoer is what grpc checks the implementation against.
type echoer interface {
	say(context.Context, *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

func echoDesc() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: echoService,
		HandlerType: (*echoer)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Say",
			Handler: func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := &wrapperspb.StringValue{}
				if err := dec(in); err != nil {
					return nil, err
				}
				return srv.(echoer).say(ctx, in)
			},
		}},
	}
}

func (s *server) say(ctx context.Context, in *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return in, grpc.SetHeader(ctx, metadata.Pairs("x-backend", s.hostname, "x-version", s.version))
}

func (s *server) grpc(ctx context.Context, l net.Listener) error {
	srv := grpc.NewServer()
	srv.RegisterService(echoDesc(), s)
	h := health.NewServer()
	healthpb.RegisterHealthServer(srv, h)
	errs := make(chan error, 1)
	go func() { errs <- srv.Serve(l) }()
	select {
	case err := <-errs:
		return err
	case <-ctx.Done():
		h.Shutdown()
		hard := time.AfterFunc(25*time.Second, srv.Stop)
		defer hard.Stop()
		srv.GracefulStop()
		return nil
	}
}
