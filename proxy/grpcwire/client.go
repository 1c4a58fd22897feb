package grpcwire

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// keepAlive notices a server that vanished without a word within three times
// as long, while a call is open. It is above the interval that the control
// plane allows its clients (5 s).
const keepAlive = 6 * time.Second

// Metadata is one field of a request's metadata; names are in lower case.
type Metadata struct{ Key, Value string }

// Client makes calls on one HTTP/2 connection.
type Client struct {
	h2        *h2.Client
	scheme    string
	authority string
}

// Dial connects to host:port, with TLS unless t is nil. t is not changed; ALPN
// "h2" is offered and demanded, and the server's name is the host unless t
// names one. The connection is for one peer and is not made again when it ends.
func Dial(ctx context.Context, address string, t *tls.Config) (*Client, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &Status{Unavailable, err.Error(), err}
	}
	c := conn.New(nc)
	cl := &Client{scheme: "http", authority: address}
	if t != nil {
		t = t.Clone()
		t.NextProtos = []string{"h2"}
		if t.ServerName == "" {
			t.ServerName = host
		} else {
			cl.authority = t.ServerName
		}
		cl.scheme = "https"
		if c, err = conn.Client(ctx, c, t); err != nil {
			return nil, &Status{Unavailable, "TLS with " + address + ": " + err.Error(), err}
		}
		if p := c.TLS().NegotiatedProtocol; p != "h2" {
			c.Close()
			return nil, &Status{Code: Unavailable, Message: fmt.Sprintf("%s does not speak HTTP/2 (ALPN %q)", address, p)}
		}
	}
	cl.h2 = h2.NewClient(c, h2.Options{KeepAlive: keepAlive, PingTimeout: keepAlive})
	return cl, nil
}

// NewClient makes calls on an HTTP/2 connection; scheme is http or https.
func NewClient(c *h2.Client, scheme, authority string) *Client {
	return &Client{h2: c, scheme: scheme, authority: authority}
}

// Close ends the connection and all calls.
func (c *Client) Close() { c.h2.Close() }

// Drain ends the connection when the calls under way are over.
func (c *Client) Drain() { c.h2.Drain() }

// Closing says that the connection takes no new call, ever.
func (c *Client) Closing() bool { return c.h2.Closing() }

// Done is closed when the connection is over.
func (c *Client) Done() <-chan struct{} { return c.h2.Done() }

// Unary makes one call, such as of "/package.Service/Method", until ctx is
// done, whose deadline the server is told. An error is a *Status.
func (c *Client) Unary(ctx context.Context, method string, req []byte, md ...Metadata) ([]byte, error) {
	s, err := c.Stream(ctx, method, md...)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	// A failed Send is explained by what Recv finds.
	if s.Send(req) == nil {
		s.CloseSend()
	}
	resp, err := s.Recv()
	if err == io.EOF { //nolint:errorlint // a lost call's Status may wrap io.EOF, and is not the end
		return nil, &Status{Code: Internal, Message: "the server sent no response"}
	}
	if err != nil {
		return nil, err
	}
	switch _, err := s.Recv(); err {
	case io.EOF: //nolint:errorlint // as above
		return resp, nil
	case nil:
		return nil, &Status{Code: Internal, Message: "the server sent more than one response"}
	default:
		return nil, err
	}
}

// Stream begins a call whose messages are sent and received one by one. It
// ends when ctx is done. The result is to be closed.
func (c *Client) Stream(ctx context.Context, method string, md ...Metadata) (*Stream, error) {
	if ctx.Err() != nil {
		return nil, fromTransport(ctx, ctx.Err())
	}
	r := http.Request{Method: []byte("POST"), Scheme: []byte(c.scheme), Authority: []byte(c.authority), Target: []byte(method)}
	add := func(name, value string) {
		r.Fields = append(r.Fields, http.Field{Name: []byte(name), Value: []byte(value)})
	}
	add("te", "trailers")
	add("content-type", "application/grpc")
	add("user-agent", "weft-proxy")
	if t, ok := ctx.Deadline(); ok {
		add("grpc-timeout", timeout(time.Until(t)))
	}
	for _, m := range md {
		add(m.Key, m.Value)
	}
	st, err := c.h2.Open(&r, false)
	if err != nil {
		return nil, fromTransport(ctx, err)
	}
	s := &Stream{ctx: ctx, h2: st}
	s.stop = context.AfterFunc(ctx, func() { st.Reset(h2.CodeCancel) })
	return s, nil
}

// timeout encodes grpc-timeout: at most eight digits and a unit.
func timeout(d time.Duration) string {
	d = max(d, 1)
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Nanosecond, "n"}, {time.Microsecond, "u"}, {time.Millisecond, "m"}, {time.Second, "S"}, {time.Minute, "M"}} {
		// Rounded up, so that the server does not give up before us.
		if n := (d + u.unit - 1) / u.unit; n < 1e8 {
			return strconv.FormatInt(int64(n), 10) + u.name
		}
	}
	return strconv.FormatInt(min(int64(d/time.Hour)+1, 1e8-1), 10) + "H"
}
