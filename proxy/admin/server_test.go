package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	stdhttp "net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

type metrics struct{}

func (metrics) WriteLinkerd(w io.Writer) error {
	_, err := io.WriteString(w, "request_total 1\n")
	return err
}
func (metrics) WriteIstio(w io.Writer) error {
	_, err := io.WriteString(w, "istio_requests_total 1\n")
	return err
}

func start(t *testing.T, o Options, p Paths) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- New(o).Serve(ctx, ln, p) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Error("Serve did not end with its context")
		}
	})
	return ln.Addr().String()
}

func do(t *testing.T, method, url string) (int, string, stdhttp.Header) {
	t.Helper()
	req, _ := stdhttp.NewRequest(method, url, nil)
	r, err := stdhttp.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b), r.Header
}

func TestEveryPathOnItsListener(t *testing.T) {
	var ready, stopped atomic.Bool
	o := Options{Ready: ready.Load, Metrics: metrics{}, Config: func(w io.Writer) error { _, err := io.WriteString(w, "{}\n"); return err },
		Shutdown: func() { stopped.Store(true) }}
	admin, stats, health := start(t, o, Admin), start(t, o, Stats), start(t, o, Health)
	for _, c := range []struct {
		method, url string
		status      int
		body        string
	}{
		{"GET", admin + "/ready", 503, "not ready\n"},
		{"GET", health + "/healthz/ready", 503, "not ready\n"},
		{"GET", admin + "/live", 200, "live\n"},
		{"GET", admin + "/metrics?x=1", 200, "request_total 1\n"},
		{"GET", stats + "/stats/prometheus", 200, "istio_requests_total 1\n"},
		{"GET", admin + "/config", 200, "{}\n"},
		{"HEAD", admin + "/config", 200, ""},
		{"POST", admin + "/config", 405, "method not allowed\n"},
		{"GET", admin + "/shutdown", 405, "method not allowed\n"},
		{"GET", stats + "/metrics", 404, "not found\n"},
		{"GET", health + "/config", 404, "not found\n"},
		{"GET", admin + "/../config", 404, "not found\n"},
	} {
		status, body, _ := do(t, c.method, "http://"+c.url)
		if status != c.status || body != c.body {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.url, status, body, c.status, c.body)
		}
	}
	ready.Store(true)
	if status, body, _ := do(t, "GET", "http://"+admin+"/ready"); status != 200 || body != "ready\n" {
		t.Errorf("ready: %d %q", status, body)
	}
	if stopped.Load() {
		t.Fatal("shut down without having been asked")
	}
	if status, _, _ := do(t, "POST", "http://"+admin+"/shutdown"); status != 200 || !stopped.Load() {
		t.Errorf("shutdown: %d, called %v", status, stopped.Load())
	}
}

func TestShutdownIsForLoopbackOnly(t *testing.T) {
	s := New(Options{Shutdown: func() { t.Error("shut down from afar") }})
	a := s.answer(Admin, "POST", "/shutdown", &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 5})
	if a.status != 403 {
		t.Errorf("from afar: %d", a.status)
	}
	if a := New(Options{}).answer(Admin, "POST", "/shutdown", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5}); a.status != 404 {
		t.Errorf("disabled: %d", a.status)
	}
}

func TestFailureIsNotHalfAPage(t *testing.T) {
	o := Options{Config: func(w io.Writer) error { _, _ = io.WriteString(w, "{"); return errors.New("broken") }}
	if status, body, _ := do(t, "GET", "http://"+start(t, o, Admin)+"/config"); status != 500 || body != "broken\n" {
		t.Errorf("%d %q", status, body)
	}
}

func TestConnectionPersistsAndGarbageIsRefused(t *testing.T) {
	addr := start(t, Options{}, Admin)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(c)
	for i, body := range []string{"", "Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"} {
		if body == "" {
			body = "\r\n"
		}
		fmt.Fprintf(c, "GET /live HTTP/1.1\r\nHost: x\r\n%s", body)
		resp, err := stdhttp.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(b) != "live\n" || resp.Close {
			t.Fatalf("request %d: %d %q close=%v", i, resp.StatusCode, b, resp.Close)
		}
	}
	fmt.Fprint(c, "\x16\x03\x01garbage\r\n\r\n")
	resp, err := stdhttp.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 400 || !resp.Close {
		t.Errorf("garbage: %d close=%v", resp.StatusCode, resp.Close)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	addr := start(t, Options{}, Admin)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for i := 0; i < maxConns; i++ {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		// An answer proves that the connection was taken.
		fmt.Fprint(c, "GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := stdhttp.ReadResponse(bufio.NewReader(c), nil); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if b, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") || len(b) > 0 {
		t.Errorf("one too many got %q, %v", b, err)
	}
}
