// Package admin is the control plane's plain HTTP port: probes, metrics, and
// what the control plane thinks, as JSON.
package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sort"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Page returns the content of a debug page, to be encoded as JSON.
type Page func() any

// Settings of the port.
type Settings struct {
	// Ready returns nil when the control plane can serve, else the reason.
	Ready func() error
	// Metrics are what /metrics shows.
	Metrics prometheus.Gatherer
	// Pages by their name below /debug/.
	Pages map[string]Page
	Log   *slog.Logger
}

// Handler serves /live, /ready, /metrics and /debug/<page>.
func Handler(s Settings) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "live") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.Ready(); err != nil {
			http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}))
	names := make([]string, 0, len(s.Pages))
	for name, page := range s.Pages {
		names = append(names, name)
		mux.HandleFunc("GET /debug/"+name, func(w http.ResponseWriter, _ *http.Request) { write(w, s.Log, page()) })
	}
	sort.Strings(names)
	mux.HandleFunc("GET /debug/{$}", func(w http.ResponseWriter, _ *http.Request) { write(w, s.Log, names) })
	return mux
}

func write(w http.ResponseWriter, log *slog.Logger, content any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(content); err != nil {
		log.Debug("debug page not sent", "error", err)
	}
}

// shutdownTime is how long open requests may take at the end.
const shutdownTime = 2 * time.Second

// Serve runs an HTTP server on a listener until the context ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if s.Shutdown(last) != nil {
			_ = s.Close()
		}
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return ctx.Err()
}
