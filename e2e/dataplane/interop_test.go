package dataplane

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	grpcinterop "google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/orca"
)

// grpcCases are those of grpc-go's interop client that need neither TLS of their
// own nor a cloud.
var grpcCases = []struct {
	name string
	run  func(context.Context, *grpc.ClientConn, testpb.TestServiceClient)
}{
	{"empty_unary", case1(grpcinterop.DoEmptyUnaryCall)},
	{"large_unary", case1(grpcinterop.DoLargeUnaryCall)},
	{"client_streaming", case1(grpcinterop.DoClientStreaming)},
	{"server_streaming", case1(grpcinterop.DoServerStreaming)},
	{"ping_pong", case1(grpcinterop.DoPingPong)},
	{"empty_stream", case1(grpcinterop.DoEmptyStream)},
	{"timeout_on_sleeping_server", case1(grpcinterop.DoTimeoutOnSleepingServer)},
	{"cancel_after_begin", case1(grpcinterop.DoCancelAfterBegin)},
	{"cancel_after_first_response", case1(grpcinterop.DoCancelAfterFirstResponse)},
	{"status_code_and_message", case1(grpcinterop.DoStatusCodeAndMessage)},
	{"special_status_message", case1(grpcinterop.DoSpecialStatusMessage)},
	{"custom_metadata", case1(grpcinterop.DoCustomMetadata)},
	{"unimplemented_method", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		grpcinterop.DoUnimplementedMethod(ctx, c)
	}},
	{"unimplemented_service", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		grpcinterop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(c))
	}},
	{"orca_per_rpc", func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) {
		grpcinterop.DoORCAPerRPCTest(ctx, tc)
	}},
	{"rpc_soak", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		soak(ctx, c.Target(), func() (*grpc.ClientConn, func()) { return c, func() {} })
	}},
	{"channel_soak", func(ctx context.Context, c *grpc.ClientConn, _ testpb.TestServiceClient) {
		soak(ctx, c.Target(), func() (*grpc.ClientConn, func()) {
			own, err := dialInterop(c.Target())
			if err != nil {
				panic(err) // of a target that was good before
			}
			return own, func() { own.Close() }
		})
	}},
}

// soak makes large calls, several at a time.
func soak(ctx context.Context, to string, channel func() (*grpc.ClientConn, func())) {
	grpcinterop.DoSoakTest(ctx, grpcinterop.SoakTestConfig{RequestSize: 271828, ResponseSize: 314159, PerIterationMaxAcceptableLatency: patience,
		OverallTimeout: time.Minute, ServerAddr: to, NumWorkers: 4, Iterations: 40, ChannelForTest: channel})
}

// dialInterop takes note of what servers say of their load.
func dialInterop(to string) (*grpc.ClientConn, error) {
	return grpc.NewClient(to, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"test_backend_metrics_load_balancer": {}}]}`))
}

func case1(f func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context, *grpc.ClientConn, testpb.TestServiceClient) {
	return func(ctx context.Context, _ *grpc.ClientConn, tc testpb.TestServiceClient) { f(ctx, tc) }
}

// interopClient runs one case and returns the process' exit code. grpc-go's
// cases end the process when they fail, so each has one of its own.
func interopClient(what string) int {
	name, to, _ := strings.Cut(what, "@")
	c, err := dialInterop(to)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, k := range grpcCases {
		if k.name == name {
			for range 3 { // and on a connection that is warm
				k.run(ctx, c, testpb.NewTestServiceClient(c))
			}
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, "no such case:", name)
	return 1
}

// serveInterop starts grpc-go's interop server.
func serveInterop(t testing.TB) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	must(t, err)
	s := grpc.NewServer(orca.CallMetricsServerOption(nil))
	testpb.RegisterTestServiceServer(s, grpcinterop.NewTestServer())
	go func() { _ = s.Serve(l) }() // ends with Stop
	t.Cleanup(s.Stop)
	return l.Addr().String()
}

func TestGRPCInterop(t *testing.T) {
	app := serveInterop(t)
	p := newPair(t, port{protocol: "grpc", app: app}, port{app: app})
	self, err := os.Executable()
	must(t, err)
	for i, way := range []string{"declared", "detected"} {
		for _, k := range grpcCases {
			t.Run(way+"/"+k.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				defer cancel()
				out, err := exec.CommandContext(ctx, self, "-dataplane.interop", k.name+"@"+p.to[i]).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			})
		}
	}
}
