package load

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/weftmesh/weft/bench/app"
)

type grpcStep func(context.Context, *grpc.ClientConn, *meter) error

// grpc runs Streams workers on each connection.
func (s Spec) grpc(ctx context.Context, work grpcStep) (Result, error) {
	streams := max(1, s.Streams)
	conns := make([]*grpc.ClientConn, s.Connections)
	for i := range conns {
		c, err := grpc.NewClient("passthrough:///"+s.Address, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority(host),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(app.Bytes{})))
		if err != nil {
			return Result{}, fmt.Errorf("gRPC client: %w", err)
		}
		defer c.Close()
		conns[i] = c
	}
	return s.closed(ctx, s.Connections*streams, func(ctx context.Context, i int, m *meter) error {
		return work(ctx, conns[i/streams], m)
	}), nil
}

var message = make([]byte, 100)

func check(b []byte) error {
	if len(b) != app.Small {
		return fmt.Errorf("%w: an answer of %d bytes", ErrAnswers, len(b))
	}
	return nil
}

func unary(ctx context.Context, c *grpc.ClientConn, m *meter) error {
	for ctx.Err() == nil {
		start := time.Now()
		var b []byte
		err := c.Invoke(ctx, app.Unary, &message, &b)
		if err == nil {
			err = check(b)
		}
		if err != nil {
			return err
		}
		m.done(start)
	}
	return nil
}

func stream(ctx context.Context, c *grpc.ClientConn, m *meter) error {
	st, err := c.NewStream(ctx, app.StreamDesc(), app.Stream)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		start := time.Now()
		var b []byte
		if err = st.SendMsg(&message); err == nil {
			if err = st.RecvMsg(&b); err == nil {
				err = check(b)
			}
		}
		if err != nil {
			return err
		}
		m.done(start)
	}
	return st.CloseSend()
}
