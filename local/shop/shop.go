// Package shop is the small application that `weft demo` runs: a web front, an
// api in two versions, and a database that speaks lines over TCP. They know
// nothing of the mesh; each dials its upstream at a loopback address.
package shop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// Config is what one process of the shop is told.
type Config struct {
	Role     string // web, api or db
	Name     string // of this instance
	Version  string // of the api: stable or canary
	Listen   string
	Upstream string // what it dials: web the api, api the database
}

// Run serves until ctx ends, then finishes what it has.
func Run(ctx context.Context, c Config) error {
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	switch c.Role {
	case "web":
		return serveHTTP(ctx, l, c.web())
	case "api":
		return serveHTTP(ctx, l, c.api())
	case "db":
		return serveLines(ctx, l)
	}
	return fmt.Errorf("unknown role %q: web, api or db", c.Role)
}

func serveHTTP(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	return s.Shutdown(last)
}

// web asks the api and shows its answer.
func (c Config) web() http.Handler {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://"+c.Upstream+r.URL.Path, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		req.Host = "api"
		for _, h := range []string{"Traceparent", "X-Canary"} {
			if v := r.Header.Get(h); v != "" {
				req.Header.Set(h, v)
			}
		}
		resp, err := client.Do(req)
		if err != nil {
			http.Error(w, "api: "+err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			http.Error(w, "api: "+err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("X-Api-Version", resp.Header.Get("X-Api-Version"))
		w.WriteHeader(resp.StatusCode)
		fmt.Fprintf(w, "%s -> %s", c.Name, body)
	})
}

// api asks the database and says which version it is.
func (c Config) api() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		line, err := ask(c.Upstream)
		if err != nil {
			http.Error(w, "db: "+err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("X-Api-Version", c.Version)
		fmt.Fprintf(w, "%s (%s) -> %s\n", c.Name, c.Version, line)
	})
}

// ask sends one line over a connection of its own and reads one.
func ask(addr string) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "visit\n"); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", err
	}
	return line[:len(line)-1], nil
}

// serveLines is the database: it counts visits.
func serveLines(ctx context.Context, l net.Listener) error {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var visits atomic.Int64
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		go func() {
			defer conn.Close()
			for s := bufio.NewScanner(conn); s.Scan(); {
				if _, err := fmt.Fprintf(conn, "db (visit %d)\n", visits.Add(1)); err != nil {
					return
				}
			}
		}()
	}
}
