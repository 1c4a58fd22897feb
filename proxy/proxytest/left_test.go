package proxytest

import (
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Whoever waits for a connection and leaves is not served: the application sees
// the requests alone that somebody still waits for.
func TestWhoLeavesTheQueueIsNotServed(t *testing.T) {
	begun, goOn := make(chan string, 10), make(chan struct{})
	var served atomic.Int64
	at := app(t, func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		begun <- r.URL.Path
		<-goOn
		fmt.Fprint(w, "ok")
	})
	w := New(t, NewCA(t), ID("web"), Options{})
	c := w.Registry.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, ConnectTimeout: patient, Limits: upstream.Limits{MaxConnections: upstream.AtMost(1)}})
	w.Registry.SetEndpoints("api", []upstream.EndpointSpec{Plain(at)})
	_, out := w.Destination("api:80", config.HTTP, Share{c, 1})
	first := dial(t, out.String())
	fmt.Fprint(first, "GET /first HTTP/1.1\r\nHost: api\r\n\r\n")
	<-begun
	for i, method := range []string{"GET", "POST", "GET", "POST"} {
		l := dial(t, out.String())
		fmt.Fprintf(l, "%s /%d HTTP/1.1\r\nHost: api\r\nContent-Length: 0\r\n\r\n", method, i)
		waittest.Until(t, "the request waits", func() bool { return c.Counters().Pending == 1 })
		if i < 2 {
			l.Conn.(*net.TCPConn).SetLinger(0) // a reset
		}
		l.Close()
		waittest.Until(t, "the request is given up", func() bool { return c.Counters().Pending == 0 })
	}
	last := dial(t, out.String())
	fmt.Fprint(last, "GET /last HTTP/1.1\r\nHost: api\r\n\r\n")
	close(goOn)
	for _, w := range []*wire{first, last} {
		if r := w.response("GET"); r.StatusCode != 200 {
			t.Error(r.Status)
		}
	}
	if got := <-begun; got != "/last" || served.Load() != 2 {
		t.Errorf("%s and %d in all were served", got, served.Load())
	}
}
