package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// echo is the answer of every HTTP path that has no meaning of its own.
type echo struct {
	Hostname string              `json:"hostname"`
	Version  string              `json:"version"`
	Method   string              `json:"method"`
	Path     string              `json:"path"`
	Host     string              `json:"host"`
	Proto    string              `json:"proto"`
	Remote   string              `json:"remote"`
	Headers  map[string][]string `json:"headers"`
	Body     string              `json:"body,omitempty"`
}

// server is one application.
type server struct {
	hostname, version string
	ready             atomic.Bool
	failing           atomic.Int32 // status that misbehave answers with; 0: behaves
	stall             atomic.Int64 // milliseconds that misbehave takes
	seen              sync.Map     // how often misbehave saw a mark: string to *atomic.Int64
	gates             sync.Map     // what requests wait for: string to *gate
	// How many requests wait at gates, and how many connections are open.
	gated, upgraded, flows atomic.Int64
}

// serve answers until the context ends, then lets what has begun finish: new
// connections are taken for as long as the lame-duck time says, so that those
// who have not heard yet still get an answer.
func serve(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	httpAddr := fs.String("http", ":8080", "HTTP/1.1 and h2c")
	grpcAddr := fs.String("grpc", ":9090", "gRPC")
	tcpAddr := fs.String("tcp", ":9000", "TCP that sends back what comes")
	firstAddr := fs.String("server-first", ":9001", "TCP whose server speaks first")
	tlsAddr := fs.String("tls", ":8443", "TLS, by a certificate of the server's own name; says who it is, and for which name it was asked")
	lame := fs.Duration("lame-duck", 0, "time to keep taking connections after SIGTERM")
	start := fs.Duration("start-delay", 0, "time until ready")
	if err := fs.Parse(args); err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	s := &server{hostname: host, version: os.Getenv("VERSION")}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var lc net.ListenConfig
	var g errgroup.Group
	for addr, serve := range map[string]func(context.Context, net.Listener) error{
		*httpAddr: s.http, *grpcAddr: s.grpc, *tcpAddr: s.tcp, *firstAddr: s.serverFirst, *tlsAddr: s.tls,
	} {
		if addr == "" {
			continue
		}
		l, err := lc.Listen(run, "tcp", addr)
		if err != nil {
			return err
		}
		g.Go(func() error { defer cancel(); return serve(run, l) })
	}
	readiness := time.AfterFunc(*start, func() { s.ready.Store(true) })
	defer readiness.Stop()
	select {
	case <-ctx.Done():
		s.ready.Store(false)
		time.Sleep(*lame)
		cancel()
	case <-run.Done():
	}
	return g.Wait()
}

func (s *server) http(ctx context.Context, l net.Listener) error {
	var p http.Protocols
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	srv := &http.Server{Handler: s.routes(), Protocols: &p, ReadHeaderTimeout: time.Minute}
	errs := make(chan error, 1)
	go func() { errs <- srv.Serve(l) }()
	select {
	case err := <-errs:
		return err
	case <-ctx.Done():
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
		defer cancel()
		return srv.Shutdown(end)
	}
}

func (s *server) routes() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("/", s.echo)
	m.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 999 {
			code = http.StatusBadRequest
		}
		w.Header().Set("x-backend", s.hostname)
		w.Header().Set("x-version", s.version)
		w.WriteHeader(code)
	})
	m.HandleFunc("/delay/{ms}", func(w http.ResponseWriter, r *http.Request) {
		ms, err := strconv.Atoi(r.PathValue("ms"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			s.echo(w, r)
		case <-r.Context().Done():
		}
	})
	m.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil || n < 0 {
			http.Error(w, "a number of bytes is wanted", http.StatusBadRequest)
			return
		}
		w.Header().Set("content-length", strconv.FormatInt(n, 10))
		io.CopyN(w, letters{}, n) //nolint:errcheck // the client went away
	})
	m.HandleFunc("/upgrade", s.upgrade)
	m.HandleFunc("/websocket/", s.webSocket)
	s.misbehaving(m)
	m.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if !s.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	return m
}

func (s *server) marks(w http.ResponseWriter) {
	w.Header().Set("content-type", "application/json")
	w.Header().Set("x-backend", s.hostname)
	w.Header().Set("x-version", s.version)
}

func (s *server) echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.marks(w)
	json.NewEncoder(w).Encode(echo{ //nolint:errcheck // the client went away
		Hostname: s.hostname, Version: s.version, Method: r.Method, Path: r.URL.RequestURI(), Host: r.Host,
		Proto: r.Proto, Remote: r.RemoteAddr, Headers: r.Header, Body: string(b),
	})
}

// letters is an endless reader.
type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return len(b), nil
}

func (s *server) tcp(ctx context.Context, l net.Listener) error {
	return accept(ctx, l, func(c net.Conn) {
		s.flows.Add(1)
		defer s.flows.Add(-1)
		io.Copy(c, c) //nolint:errcheck // the client went away
	})
}

// serverFirst greets before it listens, as SMTP and MySQL do.
func (s *server) serverFirst(ctx context.Context, l net.Listener) error {
	return accept(ctx, l, func(c net.Conn) {
		s.greet(c)
		io.Copy(c, c) //nolint:errcheck // the client went away
	})
}

func (s *server) greet(w io.Writer, more ...string) {
	fmt.Fprintln(w, strings.Join(append([]string{"220", s.hostname, strings.ReplaceAll(s.version, " ", "_")}, more...), " "))
}

func accept(ctx context.Context, l net.Listener, handle func(net.Conn)) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var open sync.WaitGroup
	for {
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return waitAtMost(&open, 5*time.Second)
			}
			return err
		}
		open.Go(func() {
			defer c.Close()
			handle(c)
		})
	}
}

func waitAtMost(g *sync.WaitGroup, limit time.Duration) error {
	done := make(chan struct{})
	go func() { g.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(limit):
	}
	return nil
}
