package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/weftmesh/weft/bench/app"
)

func dial(ctx context.Context, address string) (net.Conn, func(), error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	// A blocked read or write ends with the load.
	stop := context.AfterFunc(ctx, func() { c.Close() })
	return c, func() { stop(); c.Close() }, nil
}

// tcp repeats one step on each connection.
func (s Spec) tcp(ctx context.Context, step func(net.Conn, []byte) error) (Result, error) {
	return s.closed(ctx, s.Connections, func(ctx context.Context, _ int, m *meter) error {
		c, end, err := dial(ctx, s.Address)
		if err != nil {
			return err
		}
		defer end()
		buf := make([]byte, 256<<10)
		for ctx.Err() == nil {
			start := time.Now()
			if err := step(c, buf); err != nil {
				return err
			}
			m.done(start)
		}
		return nil
	}), nil
}

func exchange(c net.Conn, buf []byte) error {
	if _, err := c.Write(buf[:app.Small]); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := io.ReadFull(c, buf[:app.Small]); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

func bulk(c net.Conn, buf []byte) error {
	if _, err := c.Write(buf[:1]); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	for left := app.Large; left > 0; {
		n, err := c.Read(buf[:min(left, len(buf))])
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		left -= n
	}
	return nil
}

// connect makes a connection for each exchange.
func (s Spec) connect(ctx context.Context) (Result, error) {
	return s.closed(ctx, s.Connections, func(ctx context.Context, _ int, m *meter) error {
		buf := make([]byte, app.Small)
		for ctx.Err() == nil {
			start := time.Now()
			c, end, err := dial(ctx, s.Address)
			if err != nil {
				return fmt.Errorf("connect: %w", err)
			}
			err = exchange(c, buf)
			end()
			if err != nil {
				return err
			}
			m.done(start)
		}
		return nil
	}), nil
}
