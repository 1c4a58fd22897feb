package dataplane

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// h1Pair is an application of bytes behind two sidecars.
func h1Pair(t *testing.T) (*rawApp, *pair) {
	a := newApp(t)
	return a, newPair(t, port{protocol: "http", app: a.addr})
}

// Cases that need both ends at once, each with its section.
func TestH1Conversations(t *testing.T) {
	a, p := h1Pair(t)
	for _, c := range []struct {
		ref, name string
		f         func(t *testing.T, a *rawApp, c *client)
	}{
		{"9110 10.1.1", "100 before the body", expectYes},
		{"9110 10.1.1", "a final answer instead of 100", expectNo},
		{"9110 10.1.1", "a body that does not wait for 100", expectImpatient},
		{"9110 10.1.1", "100 that nobody waits for", unasked100},
		{"9110 10.1.1", "Expect of HTTP/1.0 is ignored", expect10},
		{"9110 7.8", "an upgrade, with bytes that come early", upgrade},
		{"9110 7.8", "an upgrade that is declined", upgradeDeclined},
		{"9110 7.8", "half-close of an upgraded connection", upgradeHalfClose},
		{"9110 9.3.6", "CONNECT", connect},
		{"9110 9.3.6", "CONNECT that is declined", connectDeclined},
		{"9.3.2", "pipelined requests are answered in order", pipelined},
		{"9.3.2", "pipelined, of every kind of body", pipelinedBodies},
		{"9.3.2", "pipelined behind an error", pipelinedError},
		{"9.3.2", "pipelined behind close", pipelinedClose},
		{"9.3.2", "pipelined, byte by byte", byteByByte},
		{"9.6", "half-close behind a request", halfClose},
		{"9.6", "half-close behind pipelined requests", halfClosePipelined},
		{"9.5", "end within a head", endInHead},
		{"9.5", "end within a body", endInBody},
		{"9.5", "the client leaves before the answer", clientLeaves},
		{"9.5", "the client leaves within the answer", clientLeavesLater},
		{"9110 15.5.14", "an early answer to a body of known length", func(t *testing.T, a *rawApp, c *client) { early(t, a, c, false) }},
		{"9110 15.5.14", "an early answer to chunks", func(t *testing.T, a *rawApp, c *client) { early(t, a, c, true) }},
		{"9.2", "a body goes on after its answer", lateBody},
		{"9.2", "a response that nobody asked for", func(t *testing.T, a *rawApp, c *client) { poison(t, a, c, false) }},
		{"9.2", "a second response behind the first", func(t *testing.T, a *rawApp, c *client) { poison(t, a, c, true) }},
		{"9.2", "content behind HEAD", func(t *testing.T, a *rawApp, c *client) {
			surplus(t, a, c, "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 59\r\n\r\n"+poisonous)
		}},
		{"9.2", "content behind 204", func(t *testing.T, a *rawApp, c *client) {
			surplus(t, a, c, "GET", "HTTP/1.1 204 No Content\r\n\r\n"+poisonous)
		}},
		{"9.2", "content behind 304", func(t *testing.T, a *rawApp, c *client) {
			surplus(t, a, c, "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 59\r\n\r\n"+poisonous)
		}},
		{"7.1", "both directions flow at once", bothWays},
		{"7.1", "a response is not held back", streamed},
		{"9.3", "1,000 requests on one connection", lasting},
	} {
		t.Run(c.ref+" "+c.name, func(t *testing.T) {
			a.handle(answer(okReply, false))
			c.f(t, a, dial(t, p.to[0]))
			if _, wrong := a.saw(); len(wrong) > 0 {
				t.Errorf("the application was sent what is no HTTP: %q", wrong)
			}
			// Whatever happened: the next client is served.
			a.handle(answer(okReply, false))
			n := dial(t, p.to[0])
			n.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
			if m := n.want("GET", 200); m.body != "ok" {
				t.Errorf("the next client is answered %q", m.body)
			}
		})
	}
	eventually(t, "nothing is left over at the application", func() error {
		if n := a.open(); n > 4 {
			return fmt.Errorf("%d connections", n)
		}
		return nil
	})
}

const expect = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

func expectYes(_ *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool {
		return x.write("HTTP/1.1 100 Continue\r\n\r\n") == nil && x.readBody() == nil && x.write(okBody(x.body)) == nil
	})
	for range 2 {
		c.send(expect)
		if m, err := readHead(c.r); err != nil || m.line != "HTTP/1.1 100 Continue" {
			c.t.Fatal(m, err)
		}
		c.send("hello")
		if m := c.want("POST", 200); m.body != "hello" {
			c.t.Fatal(m.body)
		}
	}
}

func okBody(s string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(s), s)
}

// Nobody knows whether the body follows an answer that is not 100: the
// connection must not carry a request that could be content.
func expectNo(t *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool {
		x.write("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return false
	})
	c.send(expect)
	c.want("POST", 417)
	c.send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
	must(t, c.ended())
	seen, _ := a.saw()
	if len(seen) != 1 {
		t.Errorf("the application saw %d requests", len(seen))
	}
}

func expectImpatient(_ *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool { return x.readBody() == nil && x.write(okBody(x.body)) == nil })
	c.send(expect + "hello")
	if m := c.want("POST", 200); m.body != "hello" {
		c.t.Fatal(m.body)
	}
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	c.want("GET", 200)
}

func unasked100(_ *testing.T, a *rawApp, c *client) {
	a.handle(answer("HTTP/1.1 100 Continue\r\n\r\n"+okReply, false))
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	if m := c.want("GET", 200); m.body != "ok" {
		c.t.Fatal(m.body)
	}
}

func expect10(_ *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool { return x.readBody() == nil && x.write(okBody(x.body)) == nil })
	c.send("POST /x HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
	if m := c.want("POST", 200); m.body != "hello" || len(m.interim) > 0 {
		c.t.Fatal(m)
	}
}

const askUpgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

// switching makes the application an echo.
func switching(x *exchange) bool {
	if !x.has("Upgrade: echo") || !strings.EqualFold(strings.Join(x.get("connection"), ","), "upgrade") {
		x.write("HTTP/1.1 400 No Upgrade\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	x.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nfirst ")
	io.Copy(x.c, x.r)
	x.c.CloseWrite()
	return false
}

func upgrade(t *testing.T, a *rawApp, c *client) {
	a.handle(switching)
	c.send(askUpgrade + "early ")
	if m := c.want("GET", 101); !m.has("Upgrade: echo") {
		t.Fatal(m.fields)
	}
	c.send("GET / HTTP/1.1\r\n\r\n late")
	b := make([]byte, len("first early GET / HTTP/1.1\r\n\r\n late"))
	if _, err := io.ReadFull(c.r, b); err != nil || string(b) != "first early GET / HTTP/1.1\r\n\r\n late" {
		t.Fatalf("%q %v", b, err)
	}
}

func upgradeDeclined(t *testing.T, a *rawApp, c *client) {
	c.send(askUpgrade)
	c.want("GET", 200)
	must(t, ignoreEnd(c, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"))
}

// ignoreEnd sends a request on a connection that may have been ended.
func ignoreEnd(c *client, request string) error {
	if _, err := io.WriteString(c, request); err != nil {
		return nil //nolint:nilerr // it was ended, as it may be
	}
	m, err := c.response("GET")
	if err == nil && m.status() != 200 {
		return fmt.Errorf("answered %q", m.line)
	}
	return nil
}

func upgradeHalfClose(t *testing.T, a *rawApp, c *client) {
	a.handle(switching)
	c.send(askUpgrade)
	c.want("GET", 101)
	data := strings.Repeat("0123456789abcdef", 40<<10)
	go func() {
		_, _ = io.WriteString(c, data)
		c.CloseWrite()
	}()
	b, err := io.ReadAll(c.r)
	if err != nil || string(b) != "first "+data {
		t.Fatalf("%d bytes of %d, %v", len(b), len(data)+6, err)
	}
}

func connect(t *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool {
		if x.line != "CONNECT far.away:443 HTTP/1.1" {
			t.Error(x.line)
		}
		x.write("HTTP/1.1 200 Fine\r\n\r\n")
		io.Copy(x.c, x.r)
		x.c.CloseWrite()
		return false
	})
	c.send("CONNECT far.away:443 HTTP/1.1\r\nHost: far.away:443\r\n\r\nearly ")
	c.want("CONNECT", 200)
	c.send("late")
	c.CloseWrite()
	if b, err := io.ReadAll(c.r); err != nil || string(b) != "early late" {
		t.Fatalf("%q %v", b, err)
	}
}

func connectDeclined(t *testing.T, a *rawApp, c *client) {
	a.handle(answer("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", false))
	c.send("CONNECT far.away:443 HTTP/1.1\r\nHost: far.away:443\r\n\r\n")
	if m := c.want("CONNECT", 403); m.body != "no" {
		t.Fatal(m)
	}
}

// echoPath answers with the request's own line.
func echoPath(x *exchange) bool {
	if x.readBody() != nil {
		return false
	}
	return x.write(okBody(x.line+" "+x.body)) == nil
}

func pipelined(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	var all strings.Builder
	for i := range 200 {
		fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
	}
	c.send(all.String())
	for i := range 200 {
		if m := c.want("GET", 200); m.body != fmt.Sprintf("GET /%d HTTP/1.1 ", i) {
			t.Fatalf("answer %d is to %s", i, m.body)
		}
	}
}

func pipelinedBodies(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	c.send("POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\nX: y\r\n\r\n" +
		"HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + strings.Repeat("x", 70000) +
		"GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	a.mu.Lock()
	a.handler = func(x *exchange) bool {
		if strings.HasPrefix(x.line, "HEAD") {
			return x.write("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n") == nil
		}
		return echoPath(x)
	}
	a.mu.Unlock()
	for i, want := range []string{"POST /0 HTTP/1.1 abc", "POST /1 HTTP/1.1 def", "", "POST /3 HTTP/1.1 " + strings.Repeat("x", 70000), "GET /4 HTTP/1.1 "} {
		method := "GET"
		if i == 2 {
			method = "HEAD"
		}
		if m := c.want(method, 200); m.body != want {
			t.Fatalf("answer %d is %.60q", i, m.body)
		}
	}
	must(t, c.ended())
}

func pipelinedError(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	c.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\nGET /1 HTTP/1.1\r\nHost : a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
	if m := c.want("GET", 200); m.body != "GET /0 HTTP/1.1 " {
		t.Fatal(m.body)
	}
	c.want("GET", 400)
	must(t, c.ended())
	if seen, _ := a.saw(); len(seen) != 1 {
		t.Errorf("the application saw %d requests", len(seen))
	}
}

func pipelinedClose(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	c.send("GET /0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	if m := c.want("GET", 200); m.body != "GET /0 HTTP/1.1 " || !m.has("Connection: close") {
		t.Fatal(m)
	}
	must(t, c.ended())
	if seen, _ := a.saw(); len(seen) != 1 {
		t.Errorf("the application saw %d requests", len(seen))
	}
}

func byteByByte(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	c.SetNoDelay(true)
	s := "POST /0 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
	for i := range len(s) {
		c.send(s[i : i+1])
	}
	for i, want := range []string{"POST /0 HTTP/1.1 abc", "POST /1 HTTP/1.1 def", "GET /2 HTTP/1.1 "} {
		if m := c.want("GET", 200); m.body != want {
			t.Fatalf("answer %d is %q", i, m.body)
		}
	}
}

func halfClose(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	c.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n")
	c.CloseWrite()
	if m := c.want("GET", 200); m.body != "GET /0 HTTP/1.1 " {
		t.Fatal(m.body)
	}
	must(t, c.ended())
}

func halfClosePipelined(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	c.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
	c.CloseWrite()
	for _, want := range []string{"GET /0 HTTP/1.1 ", "POST /1 HTTP/1.1 x"} {
		if m := c.want("GET", 200); m.body != want {
			t.Fatal(m.body)
		}
	}
	must(t, c.ended())
}

func endInHead(t *testing.T, a *rawApp, c *client) {
	c.send("GET /0 HTTP/1.1\r\nHost: a\r\n")
	c.CloseWrite()
	if m, err := c.response("GET"); err == nil && m.status() != 400 {
		t.Errorf("answered %q", m.line)
	}
	if seen, _ := a.saw(); len(seen) != 0 {
		t.Error("the application saw it")
	}
}

func endInBody(t *testing.T, a *rawApp, c *client) {
	for _, head := range []string{"Content-Length: 90000", "Transfer-Encoding: chunked"} {
		a.handle(answer(okReply, false))
		n := dial(t, c.RemoteAddr().String())
		n.send("POST /0 HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n5\r\nhello\r\n")
		n.CloseWrite()
		if m, err := n.response("POST"); err == nil && m.status() < 400 {
			t.Errorf("%s: answered %q", head, m.line)
		}
		eventually(t, "the application's connection ends", func() error {
			if seen, _ := a.saw(); len(seen) > 0 && seen[0].whole {
				t.Fatalf("%s: the application saw a whole request", head)
			}
			return nil
		})
	}
}

// gone is a handler that waits until its connection ends, and says so.
func gone(first string, ended chan<- error) func(*exchange) bool {
	return func(x *exchange) bool {
		if first != "" {
			x.write(first)
		}
		x.c.SetReadDeadline(time.Now().Add(patience))
		_, err := x.r.ReadByte()
		ended <- err
		return false
	}
}

func clientLeaves(t *testing.T, a *rawApp, c *client) { leaves(t, a, c, "") }

func clientLeavesLater(t *testing.T, a *rawApp, c *client) {
	leaves(t, a, c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
}

func leaves(t *testing.T, a *rawApp, c *client, first string) {
	ended := make(chan error, 1)
	a.handle(gone(first, ended))
	c.send("GET /0 HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the application sees the request", func() error {
		if seen, _ := a.saw(); len(seen) == 0 {
			return errors.New("nothing")
		}
		return nil
	})
	if first != "" {
		if _, err := readHead(c.r); err != nil {
			t.Fatal(err)
		}
	}
	c.SetLinger(0)
	c.Close()
	var ne net.Error
	if err := <-ended; err == nil || errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("the application does not learn of it: %v", err)
	}
	if seen, _ := a.saw(); len(seen) != 1 {
		t.Errorf("the application saw %d requests", len(seen))
	}
}

// early answers without reading the body. The client must get the answer whole
// although it is still sending.
func early(t *testing.T, a *rawApp, c *client, chunked bool) {
	a.handle(func(x *exchange) bool {
		x.write("HTTP/1.1 413 Too Much\r\nContent-Length: 8\r\n\r\ntoo much")
		return false
	})
	head, piece := "Content-Length: 1000000000", strings.Repeat("x", 64<<10)
	if chunked {
		head, piece = "Transfer-Encoding: chunked", "10000\r\n"+piece+"\r\n"
	}
	c.send("POST /x HTTP/1.1\r\nHost: a\r\n" + head + "\r\n\r\n")
	go func() {
		for range 1000 {
			if _, err := io.WriteString(c, piece); err != nil {
				return
			}
		}
	}()
	if m := c.want("POST", 413); m.body != "too much" {
		t.Fatal(m)
	}
	must(t, c.ended())
}

// lateBody: the answer is complete before the body is, and the body moves: it
// is carried to its end, and the next request is one.
func lateBody(t *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool {
		if strings.HasPrefix(x.line, "POST") {
			return x.write(okReply) == nil && x.readBody() == nil
		}
		return echoPath(x)
	})
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
	m := c.want("POST", 200)
	body := strings.Repeat("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", 100000/35+1)[:100000]
	_, _ = io.WriteString(c, body) // it may be ended instead
	if !m.has("Connection: close") {
		c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
		if m := c.want("GET", 200); m.body != "GET /x HTTP/1.1 " {
			t.Fatal(m.body)
		}
	}
	for _, m := range func() []*message { s, _ := a.saw(); return s }() {
		if strings.Contains(m.line, "smuggled") {
			t.Fatal("content became a request")
		}
	}
}

const poisonous = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Poison: 1\r\n\r\npoison"

// poison: an application sends a response too many. Nobody may be given it.
func poison(t *testing.T, a *rawApp, c *client, atOnce bool) {
	if atOnce {
		surplus(t, a, c, "GET", okReply+poisonous)
		return
	}
	second, sent := make(chan struct{}), make(chan struct{})
	a.handle(func(x *exchange) bool {
		x.write(okReply)
		<-second
		x.write(poisonous)
		close(sent)
		return true
	})
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	c.want("GET", 200)
	a.mu.Lock()
	a.handler = echoPath
	a.mu.Unlock()
	close(second)
	<-sent
	harmless(t, c)
}

func surplus(t *testing.T, a *rawApp, c *client, method, reply string) {
	a.handle(func(x *exchange) bool { return x.write(reply) == nil })
	c.send(method + " /x HTTP/1.1\r\nHost: a\r\n\r\n")
	if m, err := c.response(method); err != nil || m.body == "poison" {
		t.Fatal(m, err)
	}
	a.mu.Lock()
	a.handler = echoPath
	a.mu.Unlock()
	harmless(t, c)
}

func harmless(t *testing.T, c *client) {
	for i := range 5 {
		n := dial(t, c.RemoteAddr().String())
		for j := range 2 {
			n.send(fmt.Sprintf("GET /after-%d-%d HTTP/1.1\r\nHost: a\r\n\r\n", i, j))
			if m := n.want("GET", 200); m.body != fmt.Sprintf("GET /after-%d-%d HTTP/1.1 ", i, j) {
				t.Fatalf("answered %q", m.body)
			}
		}
	}
}

// bothWays answers each chunk before the next is sent.
func bothWays(t *testing.T, a *rawApp, c *client) {
	a.handle(func(x *exchange) bool {
		x.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			size, err := readLine(x.r)
			if err != nil {
				return false
			}
			text, err := readLine(x.r)
			if err != nil {
				return false
			}
			if size == "0" {
				x.write("0\r\n\r\n")
				return true
			}
			x.write(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
		}
	})
	c.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	if m, err := readHead(c.r); err != nil || m.status() != 200 {
		t.Fatal(m, err)
	}
	for i := range 50 {
		s := fmt.Sprintf("piece %02d", i)
		c.send("8\r\n" + s + "\r\n")
		for _, want := range []string{"8", s} {
			if l, err := readLine(c.r); err != nil || l != want {
				t.Fatalf("%q %v, want %q", l, err, want)
			}
		}
	}
	c.send("0\r\n\r\n")
	for _, want := range []string{"0", ""} {
		if l, err := readLine(c.r); err != nil || l != want {
			t.Fatalf("%q %v", l, err)
		}
	}
}

func streamed(t *testing.T, a *rawApp, c *client) {
	next := make(chan struct{}, 1)
	a.handle(func(x *exchange) bool {
		x.write("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n")
		for range 50 {
			x.write("x")
			<-next
		}
		return true
	})
	c.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
	if m, err := readHead(c.r); err != nil || m.status() != 200 {
		t.Fatal(m, err)
	}
	for i := range 50 {
		if b, err := c.r.ReadByte(); err != nil || b != 'x' {
			t.Fatal(i, b, err)
		}
		next <- struct{}{}
	}
}

func lasting(t *testing.T, a *rawApp, c *client) {
	a.handle(echoPath)
	for i := range 1000 {
		c.send(fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", i, i, strings.Repeat("x", i)))
		if m := c.want("POST", 200); m.body != fmt.Sprintf("POST /%d HTTP/1.1 %s", i, strings.Repeat("x", i)) {
			t.Fatalf("answer %d is %.60q", i, m.body)
		}
	}
}
