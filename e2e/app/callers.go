package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func newCaller(proto, target, method, body string, headers headerFlag, fresh bool, hold time.Duration) (caller, error) {
	switch proto {
	case "http", "h2c":
		var p http.Protocols
		p.SetHTTP1(proto == "http")
		p.SetUnencryptedHTTP2(proto == "h2c")
		t := &http.Transport{Protocols: &p, MaxIdleConnsPerHost: 100, DisableKeepAlives: fresh}
		return httpCaller{&http.Client{Transport: t}, target, method, body, headers}, nil
	case "upgrade":
		return upgradeCaller{&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, target, headers, hold}, nil
	case "grpc":
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		return grpcCaller{conn, body, headers}, nil
	case "tcp":
		return tcpCaller{target, body, false, hold}, nil
	case "server-first":
		return tcpCaller{target, body, true, hold}, nil
	}
	return nil, fmt.Errorf("unknown protocol %q", proto)
}

type httpCaller struct {
	client  *http.Client
	url     string
	method  string
	body    string
	headers headerFlag
}

func (c httpCaller) call(ctx context.Context) (answer, error) {
	method := c.method
	if method == "" && c.body != "" {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, c.url, strings.NewReader(c.body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range c.headers {
		req.Header.Set(h[0], h[1])
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{backend: resp.Header.Get("x-backend"), version: resp.Header.Get("x-version"), code: strconv.Itoa(resp.StatusCode)}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return a, err
	}
	if resp.StatusCode >= 400 {
		return a, fmt.Errorf("status %s %s", resp.Status, resp.Header.Get("weft-proxy-error"))
	}
	return a, nil
}

type grpcCaller struct {
	conn    *grpc.ClientConn
	body    string
	headers headerFlag
}

func (c grpcCaller) call(ctx context.Context) (answer, error) {
	for _, h := range c.headers {
		ctx = metadata.AppendToOutgoingContext(ctx, h[0], h[1])
	}
	var head metadata.MD
	out := &wrapperspb.StringValue{}
	err := c.conn.Invoke(ctx, "/"+echoService+"/Say", wrapperspb.String(c.body), out, grpc.Header(&head))
	a := answer{code: status.Code(err).String(), backend: first(head, "x-backend"), version: first(head, "x-version")}
	if err == nil && out.GetValue() != c.body {
		err = fmt.Errorf("sent %q, got %q back", c.body, out.GetValue())
	}
	return a, err
}

func first(m metadata.MD, key string) string {
	if v := m.Get(key); len(v) > 0 {
		return v[0]
	}
	return ""
}

// tcpCaller makes a connection, sends a line and reads it back.
type tcpCaller struct {
	address, body string
	greeting      bool
	hold          time.Duration // before the connection is closed
}

func (c tcpCaller) call(ctx context.Context) (answer, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	if t, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(t); err != nil {
			return answer{}, err
		}
	}
	a := answer{code: "ok"}
	r := bufio.NewReader(conn)
	if c.greeting {
		line, err := r.ReadString('\n')
		if err != nil {
			return answer{}, fmt.Errorf("greeting: %w", err)
		}
		if f := strings.Fields(line); len(f) >= 2 {
			a.backend = f[1]
			if len(f) > 2 {
				a.version = f[2]
			}
		}
	}
	line := strings.ReplaceAll(c.body, "\n", " ") + "\n"
	if _, err := io.WriteString(conn, line); err != nil {
		return answer{}, err
	}
	got, err := r.ReadString('\n')
	if err != nil {
		return answer{}, err
	}
	if got != line {
		return answer{}, fmt.Errorf("sent %q, got %q back", line, got)
	}
	return a, wait(ctx, c.hold)
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// upgradeCaller has a connection switched to bytes, sends a line, reads it
// back and holds the connection for a while.
type upgradeCaller struct {
	client  *http.Client
	url     string
	headers headerFlag
	hold    time.Duration
}

func (c upgradeCaller) call(ctx context.Context) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return answer{}, err
	}
	for _, h := range c.headers {
		req.Header.Set(h[0], h[1])
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	resp, err := c.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{backend: resp.Header.Get("x-backend"), version: resp.Header.Get("x-version"), code: strconv.Itoa(resp.StatusCode)}
	both, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		return a, fmt.Errorf("status %s %s", resp.Status, resp.Header.Get("weft-proxy-error"))
	}
	if _, err := io.WriteString(both, "hello\n"); err != nil {
		return a, err
	}
	line, err := bufio.NewReader(both).ReadString('\n')
	if err != nil || line != "hello\n" {
		return a, fmt.Errorf("sent hello, got %q back: %w", line, err)
	}
	return a, wait(ctx, c.hold)
}
