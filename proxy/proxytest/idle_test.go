package proxytest

import (
	"bufio"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/weftmesh/weft/proxy/config"
)

// A connection of the application's that lies idle holds no buffer and little
// stack, once garbage was collected.
func TestIdleConnectionsAreSmall(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes everything larger")
	}
	const (
		conns = 500
		// Both ends of the socket are here: the client's costs some of it.
		mostStack, mostHeap = 5 << 10, 4 << 10
	)
	ca := NewCA(t)
	server := New(t, ca, ID("api"), Options{})
	client := New(t, ca, ID("web"), Options{})
	in := server.Before(app(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	_, out := client.Destination("api:80", config.HTTP, Share{client.Cluster("api", Meshed(in, ID("api"))), 1})
	use := func() (stack, heap int) {
		for range 3 {
			debug.FreeOSMemory()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.StackInuse), int(m.HeapAlloc)
	}
	request, err := http.NewRequest("GET", "http://"+out.String()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(nil)
	open := func() net.Conn {
		c, err := net.Dial("tcp", out.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if err := request.Write(c); err != nil {
			t.Fatal(err)
		}
		r.Reset(c)
		resp, err := http.ReadResponse(r, request)
		if err != nil || resp.StatusCode != 204 {
			t.Fatal(resp, err)
		}
		return c
	}
	open()
	stack, heap := use()
	for range conns {
		open()
	}
	stackAfter, heapAfter := use()
	if each := (stackAfter - stack) / conns; each > mostStack {
		t.Errorf("%d bytes of stack each", each)
	}
	if each := (heapAfter - heap) / conns; each > mostHeap {
		t.Errorf("%d bytes of heap each", each)
	}
	t.Logf("each: %d bytes of stack, %d of heap", (stackAfter-stack)/conns, (heapAfter-heap)/conns)
}
