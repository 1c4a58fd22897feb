package sidecar

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Wait returns when the proxy whose admin server listens at the given address
// is ready, or with the context's end.
func Wait(ctx context.Context, admin string) error {
	host, port, err := net.SplitHostPort(admin)
	if err != nil {
		return fmt.Errorf("%w: WEFT_ADMIN_LISTEN: %q is not [host]:port", ErrSettings, admin)
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	address := net.JoinHostPort(host, port)
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		err := ask(ctx, address)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the proxy is not ready: %w", err)
		case <-t.C:
		}
	}
}

// ask sends one request for /ready.
func ask(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if t, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(t)
	}
	if _, err := io.WriteString(c, "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(c, 4096))
	line, _, _ := strings.Cut(string(b), "\r\n")
	if f := strings.Fields(line); len(f) >= 2 && f[1] == "200" {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%s answered %q", address, line)
}
