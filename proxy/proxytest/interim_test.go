package proxytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
)

// A client that reads slowly gets its response, however many interim ones come
// before it: some of those may be dropped on the way, and none is cut off.
func TestInterimResponsesForASlowReader(t *testing.T) {
	const heads, size = 60, 30 << 10
	written := make(chan struct{}, 10)
	at := server(t, func(c *net.TCPConn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			return
		}
		for range heads {
			io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("x", size)+"\r\n\r\n")
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
		written <- struct{}{}
		io.Copy(io.Discard, c)
	})
	ca := NewCA(t)
	api, web := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
	_, to := web.Destination("api:80", config.HTTP, Share{web.Cluster("api", Meshed(api.Before(at), ID("api"))), 1})
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.(*net.TCPConn).SetReadBuffer(64 << 10)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	select {
	case <-written: // and nothing is read meanwhile
	case <-time.After(10 * time.Second):
		t.Fatal("the application cannot write its response")
	}
	in := bufio.NewReaderSize(c, 1<<10)
	interim := 0
	for {
		l, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("after %d interim responses: %v", interim, err)
		}
		switch {
		case strings.HasPrefix(l, "HTTP/1.1 103 "):
			interim++
		case l == "HTTP/1.1 200 OK\r\n":
			if interim == 0 || interim > heads {
				t.Errorf("%d interim responses of %d", interim, heads)
			}
			return
		case strings.HasPrefix(l, "HTTP/1.1 "):
			t.Fatalf("after %d interim responses: %s", interim, l)
		}
	}
}
