package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// hold opens the connections, sends a request on all of them at once, so that
// proxies open as many behind them if they ever do, and keeps them until the
// load is over.
func (s Spec) hold(ctx context.Context) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Warm+s.Duration)
	defer cancel()
	var r Result
	conns := make([]net.Conn, s.Connections)
	for i := range conns {
		c, end, err := dial(ctx, s.Address)
		if err != nil {
			return r, fmt.Errorf("connect: %w", err)
		}
		defer end()
		conns[i] = c
	}
	start := time.Now()
	for _, c := range conns {
		if _, err := c.Write(s.request()); err != nil {
			return r, fmt.Errorf("write: %w", err)
		}
	}
	var ns []int64
	for _, c := range conns {
		a, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return r, fmt.Errorf("read: %w", err)
		}
		_, err = io.Copy(io.Discard, a.Body)
		a.Body.Close()
		if err != nil || a.StatusCode != http.StatusOK {
			r.Errors++
			r.First = fmt.Sprintf("%s, %v", a.Status, err)
		}
		ns = append(ns, int64(time.Since(start)))
	}
	<-ctx.Done()
	r.Requests = uint64(len(ns))
	r.latencies(ns)
	return r, nil
}
