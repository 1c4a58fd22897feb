package proxytest

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/alpn"
	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
	"github.com/weftmesh/weft/proxy/upstream"
)

// crowdedApp is an application that has as many connections waiting as it may: the
// next one is answered when accept was called, and TCP asks again.
type crowdedApp struct {
	t    testing.TB
	l    net.Listener
	addr netip.AddrPort
	open func() // begins to accept
}

func newCrowded(t testing.TB) *crowdedApp {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	a := &crowdedApp{t: t, l: l, addr: addr(l)}
	var waiting []net.Conn
	for {
		c, err := net.DialTimeout("tcp", l.Addr().String(), 100*time.Millisecond)
		if err != nil {
			break
		}
		if waiting = append(waiting, c); len(waiting) > 10 {
			t.Fatal("the listener is never full")
		}
	}
	var wg sync.WaitGroup
	a.open = sync.OnceFunc(func() {
		wg.Go(func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { defer c.Close(); echo(c.(*net.TCPConn)) })
			}
		})
	})
	t.Cleanup(func() {
		l.Close()
		for _, c := range waiting {
			c.Close()
		}
		wg.Wait()
	})
	return a
}

// asked says whether somebody waits for the application to accept.
func (a *crowdedApp) asked() bool {
	a.t.Helper()
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		a.t.Fatal(err)
	}
	const synSent = "02"
	to := fmt.Sprintf(":%04X %s ", a.addr.Port(), synSent)
	return strings.Contains(string(b), to)
}

// How long the application takes to accept is nothing that the time for a
// connection to its proxy is for.
func TestApplicationThatAcceptsLate(t *testing.T) {
	a := newCrowded(t)
	ca := NewCA(t)
	s, client := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	db := client.Cluster("db", Meshed(s.Before(a.addr), ID("db")))
	if _, _, err := db.Endpoints()[0].Bytes(t.Context()); err != nil { // the connection between the proxies
		t.Fatal(err)
	}
	client.Registry.Apply(upstream.Spec{Name: "db", Kind: upstream.Pushed, ConnectTimeout: 500 * time.Millisecond})
	_, out := client.Destination("db:5432", config.TCP, Share{db, 1})
	w := dial(t, out.String())
	waittest.Until(t, "the application is asked", a.asked)
	a.open()
	w.says("hello") // TCP asks again after a second
	if n := s.Activity.Carried(); n != 1 {
		t.Errorf("%d attempts were made", n)
	}
}

// A client that does not wait any more takes its connection along.
func TestClientThatLeavesBeforeTheApplicationAccepts(t *testing.T) {
	a := newCrowded(t)
	ca := NewCA(t)
	s, client := New(t, ca, ID("db"), Options{}), New(t, ca, ID("web"), Options{})
	cl := h2.NewClient(conn.New(peer(t, client, s.Before(a.addr), "db", alpn.Mux)), h2.Options{Plain: true})
	defer cl.Close()
	st, err := cl.Open(&http.Request{Method: []byte("CONNECT"), Authority: []byte("bytes"), Major: http.Bytes}, false)
	if err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the application is asked", a.asked)
	st.Close()
	waittest.Until(t, "nobody waits", func() bool { return !a.asked() })
	waittest.Until(t, "nothing is carried", func() bool { return s.Activity.Carried() == 0 })
	if n := metric(t, s, "tcp_close_total", `peer="src"`, `errno="shutdown"`); n != 1 {
		t.Errorf("%d attempts were given up for the client", n)
	}
}
