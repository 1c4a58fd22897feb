package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestPages(t *testing.T) {
	ready := errors.New("still reading")
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "some_total", Help: "x"}))
	s := httptest.NewServer(Handler(Settings{Ready: func() error { return ready }, Metrics: reg, Log: slog.New(slog.DiscardHandler),
		Pages: map[string]Page{"proxies": func() any { return []string{"web-0"} }}}))
	defer s.Close()
	check := func(path string, code int, text string) {
		t.Helper()
		r, err := s.Client().Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != code || !strings.Contains(string(b), text) {
			t.Errorf("%s: %d %s %v", path, r.StatusCode, b, err)
		}
	}
	check("/live", http.StatusOK, "live")
	check("/ready", http.StatusServiceUnavailable, "still reading")
	ready = nil
	check("/ready", http.StatusOK, "ready")
	check("/metrics", http.StatusOK, "some_total 0")
	check("/debug/", http.StatusOK, "proxies")
	check("/debug/proxies", http.StatusOK, "web-0")
	check("/debug/other", http.StatusNotFound, "")
}

func TestServeEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, http.NotFoundHandler()) }()
	r, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
