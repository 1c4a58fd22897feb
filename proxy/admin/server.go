package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Paths is a set of paths that a listener answers; all others are 404.
type Paths uint8

const (
	// Admin is /ready, /live, /metrics, /config and /shutdown.
	Admin Paths = 1 << iota
	// Stats is /stats/prometheus.
	Stats
	// Health is /healthz/ready.
	Health
)

const (
	// maxConns bounds the connections of one listener; more are closed at once.
	maxConns = 64
	// idleTimeout bounds the wait for a request, and the sending of an answer.
	idleTimeout = 60 * time.Second
	// maxBody bounds what is read of a request's body, which nobody needs.
	maxBody = 64 << 10
	// acceptPause follows an error of the listener, such as too many open files.
	acceptPause = 50 * time.Millisecond
)

// Metrics writes Prometheus text.
type Metrics interface {
	WriteLinkerd(io.Writer) error
	WriteIstio(io.Writer) error
}

// Options of a Server.
type Options struct {
	// Ready says whether the proxy can serve.
	Ready   func() bool
	Metrics Metrics
	// Config writes the configuration in effect as JSON.
	Config func(io.Writer) error
	// Shutdown begins the end of the proxy; it is called once for each request
	// and must return at once. nil disables POST /shutdown.
	Shutdown func()
	Log      *slog.Logger
}

// Server answers on any number of listeners.
type Server struct{ opts Options }

// New makes a server.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{o}
}

// Serve answers requests for the given paths until the context ends, then
// closes the listener and its connections. It returns nil at the context's
// end, and the listener's error when somebody else closed it.
func (s *Server) Serve(ctx context.Context, ln net.Listener, paths Paths) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	open := map[net.Conn]bool{}
	stop := context.AfterFunc(ctx, func() {
		_ = ln.Close()
		mu.Lock()
		defer mu.Unlock()
		for c := range open {
			_ = c.Close()
		}
	})
	defer stop()
	defer wg.Wait()
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.opts.Log.Warn("admin: accept failed", "address", ln.Addr().String(), "error", err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
			}
			continue
		}
		mu.Lock()
		full := len(open) >= maxConns || ctx.Err() != nil
		if !full {
			open[c] = true
		}
		mu.Unlock()
		if full {
			_ = c.Close()
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			s.serve(c, paths)
			_ = c.Close()
			mu.Lock()
			delete(open, c)
			mu.Unlock()
		}()
	}
}
