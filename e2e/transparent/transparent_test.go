package transparent

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Virtual addresses. Nobody owns them: without a proxy nothing answers there.
const (
	apiVIP   = "10.96.0.10"
	apiAVIP  = "10.96.0.11"
	apiBVIP  = "10.96.0.12"
	greetVIP = "10.96.0.13"
	webVIP   = "10.96.0.14"
	late1VIP = "10.96.0.21"
	late2VIP = "10.96.0.22"
	late3VIP = "10.96.0.23"
)

// shop is the mesh of the tests: web asks api, which two pods serve.
type shop struct {
	*world
	web, one, two          *pod
	apiOne, apiTwo, webApp *app
	greeter                net.Listener
	strangerApp            *app
	outbound               string
}

func newShop(t *testing.T, outbound string) *shop {
	w := newWorld(t)
	s := &shop{world: w, outbound: outbound}
	s.web = w.pod("web", "10.78.0.11", 8080)
	s.one = w.pod("api-one", "10.78.0.12", 8080, 9000)
	s.two = w.pod("api-two", "10.78.0.13", 8080)
	w.service("api", apiVIP, 80, 8080, "http", s.one, s.two)
	w.service("api-a", apiAVIP, 80, 8080, "http", s.one)
	w.service("api-b", apiBVIP, 80, 8080, "http", s.two)
	w.service("greet", greetVIP, 9000, 9000, "", s.one)
	w.service("web", webVIP, 80, 8080, "http", s.web)
	w.service("late1", late1VIP, 80, 8080, "http", s.one)
	w.service("late2", late2VIP, 80, 8080, "http", s.one)
	w.service("late3", late3VIP, 80, 8080, "http", s.one)
	w.split(3, 1)
	w.run(outbound)

	s.webApp = s.web.app("web", ":8080")
	s.apiOne, s.apiTwo = s.one.app("one", ":8080"), s.two.app("two", ":8080")
	s.strangerApp = w.outside.app("stranger", ":8080")
	s.greeter = s.one.listen(":9000")
	go serve(s.greeter, func(c net.Conn) {
		// A server that speaks first, and then repeats.
		io.WriteString(c, "hello from the server\n")
		io.Copy(c, c)
	})
	for _, p := range []*pod{s.web, s.one, s.two} {
		p.mesh()
	}
	for _, p := range []*pod{s.web, s.one, s.two} {
		p.ready()
	}
	// Once, so that later tests find these destinations known.
	eventually(t, "api answers", func() error { _, _, _, err := ask(s.web.client, "http://"+apiVIP, ""); return err })
	return s
}

func serve(ln net.Listener, f func(net.Conn)) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			f(c)
		}()
	}
}

func TestTransparentMesh(t *testing.T) {
	s := newShop(t, "ALLOW_ANY")
	step := func(name string, f func(*testing.T, *shop)) {
		t.Helper()
		if !t.Run(name, func(t *testing.T) { f(t, s) }) && t.Failed() {
			t.Log("after", name)
		}
	}
	step("service", mutualTLS)
	step("split", shares)
	step("pod address", podAddress)
	step("own service", ownService)
	step("server first", serverFirst)
	step("unknown passes", unknownPasses)
	step("nonsense", nonsense)
	step("control plane away", away)
	step("control plane back", back)
	step("control plane frozen", frozen)
	step("drain", drains)
}

// The identity arrives, and nothing of it can be read on the way.
func mutualTLS(t *testing.T, s *shop) {
	wire := tap(t, s.bridge)
	const marker, open = "marker-that-must-not-be-readable", "marker-that-is-readable"
	_, peer, echo, err := ask(s.web.client, "http://"+apiVIP, marker)
	if err != nil || echo != marker {
		t.Fatalf("%q %v", echo, err)
	}
	if !strings.HasPrefix(peer, "web.default.") {
		t.Errorf("the application was told that %q asks", peer)
	}
	// What goes to a stranger can be read: the tap works.
	if _, _, _, err := ask(s.web.client, "http://"+outside+":8080", open); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the tap sees plaintext", func() error {
		if !wire.has(open) {
			return errors.New("not yet")
		}
		return nil
	})
	if wire.has(marker) {
		t.Error("the request could be read on the wire")
	}
	for _, want := range []string{`direction="outbound"`, `tls="true"`, `peer="dst"`, `dst_service="api`} {
		if !hasSeries(s.web.metrics(), "tcp_open_total", want) {
			t.Errorf("web's proxy counts no connection with %s", want)
		}
	}
	if !hasSeries(s.one.metrics()+s.two.metrics(), "request_total", `direction="inbound"`, `tls="true"`, `client_id="spiffe://cluster.local/ns/default/sa/web"`) {
		t.Error("no api proxy counts requests of web's identity")
	}
}

func hasSeries(text, family string, labels ...string) bool {
next:
	for _, l := range strings.Split(text, "\n") {
		if !strings.HasPrefix(l, family+"{") {
			continue
		}
		for _, want := range labels {
			if !strings.Contains(l, want) {
				continue next
			}
		}
		return true
	}
	return false
}

func count(t *testing.T, c *http.Client, url string, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		by, _, _, err := ask(c, url, "")
		if err != nil {
			t.Fatal(err)
		}
		got[by]++
	}
	return got
}

func shares(t *testing.T, s *shop) {
	// 3:1 of 600 is 450 with a standard deviation of 10.6.
	if got := count(t, s.web.client, "http://"+apiVIP, 600); got["one"] < 375 || got["one"] > 525 || got["one"]+got["two"] != 600 {
		t.Errorf("weights 3 and 1 give %v", got)
	}
	s.split(0, 1)
	eventually(t, "all goes to the second", func() error {
		if got := count(t, s.web.client, "http://"+apiVIP, 20); got["one"] > 0 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
}

func podAddress(t *testing.T, s *shop) {
	by, peer, _, err := ask(s.web.client, "http://"+s.two.address+":8080", "")
	if err != nil || by != "two" || !strings.HasPrefix(peer, "web.default.") {
		t.Errorf("by %q for %q: %v", by, peer, err)
	}
}

// A workload that asks its own service gets itself, without a proxy's detour.
func ownService(t *testing.T, s *shop) {
	if by, _, echo, err := ask(s.web.client, "http://"+webVIP, "self"); err != nil || by != "web" || echo != "self" {
		t.Errorf("by %q, %q: %v", by, echo, err)
	}
}

func serverFirst(t *testing.T, s *shop) {
	c, err := s.web.dial(greetVIP+":9000", 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	in := bufio.NewReader(c)
	if l, err := in.ReadString('\n'); l != "hello from the server\n" {
		t.Fatalf("%q %v", l, err)
	}
	io.WriteString(c, "back\n")
	if l, err := in.ReadString('\n'); l != "back\n" {
		t.Fatalf("%q %v", l, err)
	}
	// The end of one side must reach the other, and the rest come back.
	io.WriteString(c, "last")
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(in); string(b) != "last" || err != nil {
		t.Errorf("%q %v", b, err)
	}
}

func unknownPasses(t *testing.T, s *shop) {
	by, peer, _, err := ask(s.web.client, "http://"+outside+":8080", "")
	if err != nil || by != "stranger" || peer != "" {
		t.Errorf("by %q, told %q: %v", by, peer, err)
	}
	// And back: a stranger's plaintext is let in where no policy forbids it.
	c := &http.Client{Transport: &http.Transport{DialContext: s.outside.dialContext, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	if by, peer, _, err := ask(c, "http://"+s.two.address+":8080", ""); err != nil || by != "two" || peer != "" {
		t.Errorf("from outside: by %q for %q: %v", by, peer, err)
	}
}

// Connections that say nothing, half of something or rubbish harm nobody else.
func nonsense(t *testing.T, s *shop) {
	var kept []net.Conn
	defer func() {
		for _, c := range kept {
			c.Close()
		}
	}()
	for _, say := range []string{"", "GET / HTTP/1.1\r\nHo", "\x00\xff\x00\xffrubbish\r\n\r\n", "\x16\x03\x01\x02\x00\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"} {
		for _, to := range []struct {
			from *space
			addr string
		}{
			{s.web.space, apiVIP + ":80"}, {s.web.space, greetVIP + ":9000"}, {s.web.space, "127.0.0.1:4140"}, {s.web.space, "127.0.0.1:4143"},
			{s.outside, s.one.address + ":8080"}, {s.outside, s.one.address + ":4143"}, {s.outside, s.one.address + ":4140"},
		} {
			c, err := to.from.dial(to.addr, 5*time.Second)
			if err != nil {
				continue // refused at once is as good
			}
			io.WriteString(c, say)
			kept = append(kept, c)
		}
	}
	for range 20 {
		if _, _, _, err := ask(s.web.browser(), "http://"+apiVIP, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range kept {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	kept = nil
	for _, p := range []*pod{s.web, s.one} {
		if !strings.Contains(p.metrics(), "weft_proxy_panics_total 0") {
			t.Errorf("%s's proxy met errors of its own", p.name)
		}
	}
}

// firstTime asks for a destination that the proxy has never asked for.
func firstTime(t *testing.T, s *shop, vip string) (by string, err error) {
	t.Helper()
	start := time.Now()
	by, _, _, err = ask(s.web.browser(), "http://"+vip, "")
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("the answer took %s", took)
	}
	return by, err
}

func away(t *testing.T, s *shop) {
	s.control.kill()
	eventually(t, "web's proxy notices", func() error {
		if !strings.Contains(s.web.metrics(), "control_connected 0") {
			return errors.New("it thinks it is connected")
		}
		return nil
	})
	for _, fresh := range []bool{false, true} {
		c := s.web.client
		if fresh {
			c = s.web.browser()
		}
		if by, peer, _, err := ask(c, "http://"+apiVIP, ""); err != nil || by != "two" || !strings.HasPrefix(peer, "web.default.") {
			t.Errorf("known destination: by %q for %q: %v", by, peer, err)
		}
	}
	// Under ALLOW_ANY the original address is where it goes.
	s.bridge.ip("addr add " + late1VIP + "/32 dev lo")
	s.bridge.app("around", late1VIP+":80")
	if by, err := firstTime(t, s, late1VIP); err != nil || by != "around" {
		t.Errorf("asked for the first time: by %q, %v", by, err)
	}
}

func back(t *testing.T, s *shop) {
	s.split(1, 0)
	s.run("REGISTRY_ONLY")
	eventually(t, "the weights of meanwhile are in effect", func() error {
		if got := count(t, s.web.client, "http://"+apiVIP, 10); got["two"] > 0 {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	eventually(t, "the late destination goes through the mesh", func() error {
		by, peer, _, err := ask(s.web.browser(), "http://"+late1VIP, "")
		if err == nil && (by != "one" || !strings.HasPrefix(peer, "web.default.")) {
			err = fmt.Errorf("by %q for %q", by, peer)
		}
		return err
	})
	refused := func(what, host string) {
		t.Helper()
		eventually(t, what, func() error {
			by, _, _, err := ask(s.web.browser(), "http://"+host, "")
			switch {
			case err == nil:
				return fmt.Errorf("%s answers", by)
			case !strings.Contains(err.Error(), "502") || !strings.Contains(err.Error(), "unknown destination"):
				return err
			}
			return nil
		})
	}
	refused("an unknown destination is refused", outside+":8080")
	hits := s.strangerApp.hits.Load()
	refused("and again", outside+":8080")
	if s.strangerApp.hits.Load() != hits {
		t.Error("a refused request reached the stranger")
	}
	s.control.kill()
	eventually(t, "web's proxy notices", func() error {
		if !strings.Contains(s.web.metrics(), "control_connected 0") {
			return errors.New("it thinks it is connected")
		}
		return nil
	})
	if by, err := firstTime(t, s, late2VIP); err == nil || !strings.Contains(err.Error(), "unknown destination") {
		t.Errorf("asked for the first time under REGISTRY_ONLY: by %q, %v", by, err)
	}
	s.run("REGISTRY_ONLY")
	eventually(t, "changes flow again", func() error {
		by, err := firstTime(t, s, late2VIP)
		if err == nil && by != "one" {
			err = fmt.Errorf("by %q", by)
		}
		return err
	})
}

// A control plane that vanishes without a word is noticed, and found again.
func frozen(t *testing.T, s *shop) {
	s.control.freeze()
	defer s.control.cmd.Process.Signal(syscall.SIGCONT)
	began := time.Now()
	if by, err := firstTime(t, s, late3VIP); err == nil || !strings.Contains(err.Error(), "unknown destination") {
		t.Errorf("asked for the first time: by %q, %v", by, err)
	}
	if by, _, _, err := ask(s.web.browser(), "http://"+apiVIP, ""); err != nil || by != "one" {
		t.Errorf("known destination: by %q, %v", by, err)
	}
	for !strings.Contains(s.web.metrics(), "control_connected 0") {
		if time.Since(began) > 25*time.Second {
			t.Fatal("web's proxy does not notice")
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Log("noticed after", time.Since(began).Round(100*time.Millisecond))
	s.control.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "the late destination goes through the mesh", func() error {
		by, _, _, err := ask(s.web.browser(), "http://"+late3VIP, "")
		if err == nil && by != "one" {
			err = fmt.Errorf("by %q", by)
		}
		return err
	})
}

// SIGTERM cuts nothing: the proxy ends when its application has.
func drains(t *testing.T, s *shop) {
	type answer struct {
		by  string
		err error
	}
	got := make(chan answer, 1)
	go func() {
		by, _, _, err := ask(s.web.browser(), "http://"+apiVIP+"/slow", "")
		got <- answer{by, err}
	}()
	select {
	case <-s.apiOne.begun:
	case a := <-got:
		t.Fatal("the slow request ended before it began: ", a)
	case <-time.After(patience):
		t.Fatal("the slow request does not arrive")
	}
	if err := s.one.proxy.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the proxy drains", func() error { return expect(s.one.client, "http://127.0.0.1:4191/ready", 503) })
	// New requests are still served: their clients do not know yet.
	if by, _, _, err := ask(s.web.browser(), "http://"+apiVIP, ""); err != nil || by != "one" {
		t.Errorf("a new request while draining: by %q, %v", by, err)
	}
	close(s.apiOne.block)
	if a := <-got; a.err != nil || a.by != "one" {
		t.Errorf("the request under way: %+v", a)
	}
	select {
	case <-s.one.proxy.done:
		t.Fatal("the proxy ended before its application")
	default:
	}
	s.apiOne.Close()
	s.greeter.Close()
	select {
	case <-s.one.proxy.done:
		if s.one.proxy.err != nil {
			t.Error("the proxy ended with", s.one.proxy.err)
		}
	case <-time.After(patience):
		t.Error("the proxy does not end after its application")
	}
}
