package grpcwire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/weftmesh/weft/internal/waittest"
)

const patience = 10 * time.Second

type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (bytesCodec) Unmarshal(p []byte, v any) error { *v.(*[]byte) = bytes.Clone(p); return nil }
func (bytesCodec) Name() string                    { return "bytes" }

// waiting counts the calls that have been told to wait.
var waiting atomic.Int64

// server echoes messages of every method; some messages are commands.
func server(t testing.TB) (*grpc.Server, string, *tls.Config, chan error) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"control"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 100)
	s := grpc.NewServer(grpc.ForceServerCodec(bytesCodec{}), grpc.MaxRecvMsgSize(128<<20),
		grpc.Creds(credentials.NewServerTLSFromCert(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})),
		grpc.UnknownServiceHandler(func(_ any, st grpc.ServerStream) (err error) {
			defer func() { ended <- err }()
			for {
				var m []byte
				if err := st.RecvMsg(&m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				switch string(m) {
				case "fail":
					return status.Error(codes.FailedPrecondition, "as asked: 100% ü")
				case "wait":
					waiting.Add(1)
					<-st.Context().Done()
					return st.Context().Err()
				case "twice":
					if err := st.SendMsg(&m); err != nil {
						return err
					}
				case "none":
					return nil
				case "token":
					md, _ := metadata.FromIncomingContext(st.Context())
					m = []byte(strings.Join(md.Get("authorization"), ","))
				case "huge":
					m = make([]byte, MaxMessage+1)
				}
				if err := st.SendMsg(&m); err != nil {
					return err
				}
			}
		}))
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return s, l.Addr().String(), &tls.Config{RootCAs: roots, ServerName: "control"}, ended
}

func dial(t testing.TB, address string, conf *tls.Config) *Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := Dial(ctx, address, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-c.Done() })
	return c
}

func TestUnary(t *testing.T) {
	_, addr, conf, _ := server(t)
	c := dial(t, addr, conf)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, want := range []string{"", "hello", strings.Repeat("0123456789", 1<<20)} {
		if got, err := c.Unary(ctx, "/a.B/C", []byte(want)); err != nil || string(got) != want {
			t.Errorf("%d bytes: got %d, %v", len(want), len(got), err)
		}
	}
	if got, err := c.Unary(ctx, "/a.B/C", []byte("token"), Metadata{"authorization", "Bearer x"}); err != nil || string(got) != "Bearer x" {
		t.Errorf("metadata: %q %v", got, err)
	}
	_, err := c.Unary(ctx, "/a.B/C", []byte("fail"))
	var st *Status
	if !errors.As(err, &st) || st.Code != FailedPrecondition || st.Message != "as asked: 100% ü" {
		t.Errorf("status: %v", err)
	}
	for msg, want := range map[string]Code{"twice": Internal, "none": Internal, "huge": ResourceExhausted} {
		if _, err := c.Unary(ctx, "/a.B/C", []byte(msg)); CodeOf(err) != want {
			t.Errorf("%s: %v", msg, err)
		}
	}
	// The connection is still good.
	if _, err := c.Unary(ctx, "/a.B/C", []byte("x")); err != nil {
		t.Error(err)
	}
}

func TestDeadlineAndCancel(t *testing.T) {
	_, addr, conf, ended := server(t)
	c := dial(t, addr, conf)
	// Longer and longer, until the call has reached the server in time.
	for limit := 50 * time.Millisecond; ; limit *= 2 {
		before := waiting.Load()
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err := c.Unary(ctx, "/a.B/C", []byte("wait"))
		cancel()
		if CodeOf(err) != DeadlineExceeded {
			t.Fatalf("deadline: %v", err)
		}
		if waiting.Load() > before {
			break
		}
		if limit > patience {
			t.Fatal("the server was not reached")
		}
	}
	if err := <-ended; err == nil {
		t.Error("the server saw no end")
	}
	_, addr, conf, ended = server(t) // the former may still have ends to tell
	c = dial(t, addr, conf)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := c.Stream(ctx, "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([]byte("wait")); err != nil {
		t.Fatal(err)
	}
	before := waiting.Load()
	go func() {
		for end := time.Now().Add(patience); waiting.Load() == before && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if _, err := s.Recv(); CodeOf(err) != Canceled {
		t.Errorf("cancel: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) && status.Code(err) != codes.Canceled {
		t.Errorf("the server saw %v", err)
	}
	if err := s.Send(nil); CodeOf(err) != Canceled {
		t.Errorf("send: %v", err)
	}
	if _, err := c.Unary(ctx, "/a.B/C", nil); CodeOf(err) != Canceled {
		t.Errorf("a call after cancel: %v", err)
	}
}

func TestBidirectional(t *testing.T) {
	_, addr, conf, ended := server(t)
	c := dial(t, addr, conf)
	s, err := c.Stream(t.Context(), "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 100 {
		want := fmt.Appendf(nil, "message %d", i)
		if err := s.Send(want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Recv(); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %q %v", got, err)
		}
	}
	s.CloseSend()
	for range 2 {
		if _, err := s.Recv(); err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("the server saw %v", err)
	}
	// Closed early, the server sees it canceled.
	if s, err = c.Stream(t.Context(), "/a.B/C"); err != nil {
		t.Fatal(err)
	}
	if err := s.Send([]byte("wait")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := <-ended; err == nil {
		t.Error("the server saw no end")
	}
}

func TestServerGoesAway(t *testing.T) {
	srv, addr, conf, _ := server(t)
	c := dial(t, addr, conf)
	s, err := c.Stream(t.Context(), "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	echo := func(what string) {
		t.Helper()
		if err := s.Send([]byte(what)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Recv(); err != nil || string(got) != what {
			t.Fatalf("got %q %v", got, err)
		}
	}
	echo("before")
	stopped := make(chan struct{})
	go func() { srv.GracefulStop(); close(stopped) }()
	waittest.Until(t, "GOAWAY is noticed", c.Closing)
	echo("while it drains")
	if _, err := c.Unary(t.Context(), "/a.B/C", nil); CodeOf(err) != Unavailable {
		t.Errorf("a new call: %v", err)
	}
	s.CloseSend()
	if _, err := s.Recv(); err != io.EOF {
		t.Error(err)
	}
	<-c.Done()
	<-stopped
}

func TestServerIsKilled(t *testing.T) {
	srv, addr, conf, _ := server(t)
	c := dial(t, addr, conf)
	s, err := c.Stream(t.Context(), "/a.B/C")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Send([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	if _, err := s.Recv(); CodeOf(err) != Unavailable {
		t.Errorf("got %v, want UNAVAILABLE", err)
	}
	if err := s.Send([]byte("x")); !errors.Is(err, ErrEnded) {
		t.Errorf("send: %v", err)
	}
	<-c.Done()
	if _, err := Dial(t.Context(), addr, conf); CodeOf(err) != Unavailable {
		t.Errorf("dial: %v", err)
	}
}

func TestDialRefusesWrongName(t *testing.T) {
	_, addr, conf, _ := server(t)
	conf.ServerName = "other"
	var wrong x509.HostnameError
	if _, err := Dial(t.Context(), addr, conf); !errors.As(err, &wrong) {
		t.Errorf("got %v", err)
	}
	if _, err := Dial(t.Context(), "no port", conf); err == nil {
		t.Error("an address without a port was taken")
	}
}

func TestTimeout(t *testing.T) {
	for d, want := range map[time.Duration]string{-1: "1n", 0: "1n", 1: "1n", 99999999: "99999999n", 1e8: "100000u", time.Second + 1: "1000001u",
		time.Hour: "3600000m", 1000 * time.Hour: "3600000S", 1 << 62: "76861434M"} {
		if got := timeout(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func FuzzMessage(f *testing.F) {
	for _, s := range []string{"", "plain", "100%25", "%", "%4", "%zz", "a%20b%"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if out := percentDecode(in); len(out) > len(in) {
			t.Errorf("%q grew to %q", in, out)
		}
	})
}
