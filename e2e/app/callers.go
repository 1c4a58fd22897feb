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

func newCaller(proto, target, method, body, sni string, headers headerFlag, fresh bool, hold holding) (caller, error) {
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
	case "tls":
		return tlsCaller{target, sni}, nil
	case "websocket":
		return webSocketCaller{target, headers}, nil
	case "websocket-h2":
		return newStreamCaller(target, headers), nil
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
	a := answered(resp)
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return a, err
	}
	if resp.StatusCode >= 400 {
		return a, fmt.Errorf("status %s %s", resp.Status, resp.Header.Get("weft-proxy-error"))
	}
	return a, nil
}

// answered is what a response says of who sent it.
func answered(resp *http.Response) answer {
	return answer{backend: resp.Header.Get("x-backend"), version: resp.Header.Get("x-version"), code: strconv.Itoa(resp.StatusCode)}
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
	hold          holding // before the connection is closed
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
		if err := a.greeted(r); err != nil {
			return answer{}, err
		}
	}
	if err := echoes(r, conn, c.body); err != nil {
		return answer{}, err
	}
	return a, c.hold.keep(ctx, r, conn)
}

// greeted reads the greeting of a server that speaks first.
func (a *answer) greeted(r *bufio.Reader) error {
	line, err := r.ReadString('\n')
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if f := strings.Fields(line); len(f) >= 2 {
		a.backend = f[1]
		if len(f) > 2 {
			a.version = f[2]
		}
	}
	return nil
}

// upgradeCaller has a connection switched to bytes, sends a line, reads it
// back and holds the connection for a while.
type upgradeCaller struct {
	client  *http.Client
	url     string
	headers headerFlag
	hold    holding
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
	a := answered(resp)
	both, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		return a, fmt.Errorf("status %s %s", resp.Status, resp.Header.Get("weft-proxy-error"))
	}
	r := bufio.NewReader(both)
	if err := echoes(r, both, "hello"); err != nil {
		return a, err
	}
	return a, c.hold.keep(ctx, r, both)
}
