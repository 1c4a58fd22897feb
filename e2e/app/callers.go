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

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func newCaller(proto, target, method, body string, headers headerFlag, fresh bool) (caller, error) {
	switch proto {
	case "http", "h2c":
		var p http.Protocols
		p.SetHTTP1(proto == "http")
		p.SetUnencryptedHTTP2(proto == "h2c")
		t := &http.Transport{Protocols: &p, MaxIdleConnsPerHost: 100, DisableKeepAlives: fresh}
		return httpCaller{&http.Client{Transport: t}, target, method, body, headers}, nil
	case "grpc":
		conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, err
		}
		return grpcCaller{conn, body, headers}, nil
	case "tcp":
		return tcpCaller{target, body, false}, nil
	case "server-first":
		return tcpCaller{target, body, true}, nil
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
	return a, nil
}
