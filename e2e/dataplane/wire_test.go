package dataplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// message is what one end sees on the wire, read without any forgiveness: a
// proxy must not send what somebody could read in another way.
type message struct {
	line     string   // start line
	fields   []string // "Name: value" as received
	framing  string   // none, length, chunked, close
	body     string
	trailers []string
	interim  []*message // 1xx before a response
	whole    bool       // read to its end
}

// get returns the values of a field; name is in lower case.
func (m *message) get(name string) (values []string) {
	for _, f := range m.fields {
		n, v, _ := strings.Cut(f, ": ")
		if strings.ToLower(n) == name {
			values = append(values, v)
		}
	}
	return values
}

func (m *message) has(line string) bool {
	for _, f := range m.fields {
		if f == line {
			return true
		}
	}
	return false
}

func (m *message) status() int {
	if len(m.line) < 12 {
		return 0
	}
	n, _ := strconv.Atoi(m.line[9:12])
	return n
}

// readLine reads to CRLF and takes nothing else for the end of a line.
func readLine(r *bufio.Reader) (string, error) {
	s, err := r.ReadString('\n')
	if err != nil {
		if errors.Is(err, io.EOF) && s != "" {
			err = io.ErrUnexpectedEOF
		}
		return s, err
	}
	if !strings.HasSuffix(s, "\r\n") || strings.ContainsAny(s[:len(s)-2], "\r\x00") {
		return s, fmt.Errorf("malformed line %q", s)
	}
	return s[:len(s)-2], nil
}

func readFields(r *bufio.Reader) (fields []string, err error) {
	for {
		l, err := readLine(r)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || l == "" {
			return fields, err
		}
		name, _, ok := strings.Cut(l, ": ")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return fields, fmt.Errorf("malformed field line %q", l)
		}
		fields = append(fields, l)
	}
}

// readHead reads a head; io.EOF is the end before anything.
func readHead(r *bufio.Reader) (*message, error) {
	m := &message{}
	var err error
	if m.line, err = readLine(r); err != nil {
		return m, err
	}
	m.fields, err = readFields(r)
	return m, err
}

// readBody reads what the head announces; none says that nothing follows
// whatever it announces, close that everything does where it announces nothing.
func (m *message) readBody(r *bufio.Reader, none, untilClose bool) (err error) {
	te, cl := m.get("transfer-encoding"), m.get("content-length")
	switch {
	case none:
		m.framing = "none"
	case len(te) > 1 || len(cl) > 1 || len(te)+len(cl) > 1:
		return fmt.Errorf("ambiguous framing: %v %v", te, cl)
	case len(te) == 1:
		m.framing = "chunked"
		if te[0] != "chunked" {
			return fmt.Errorf("Transfer-Encoding %q", te[0])
		}
		err = m.chunks(r)
	case len(cl) == 1:
		m.framing = "length"
		n, err := strconv.ParseUint(cl[0], 10, 62)
		if err != nil || strconv.FormatUint(n, 10) != cl[0] {
			return fmt.Errorf("Content-Length %q", cl[0])
		}
		b := make([]byte, n)
		got, err := io.ReadFull(r, b)
		m.body = string(b[:got])
		if err != nil {
			return io.ErrUnexpectedEOF
		}
	case untilClose:
		m.framing = "close"
		var b []byte
		b, err = io.ReadAll(r)
		m.body = string(b)
	default:
		m.framing = "none"
	}
	m.whole = err == nil
	return err
}

func (m *message) chunks(r *bufio.Reader) error {
	for {
		l, err := readLine(r)
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		n, err := strconv.ParseUint(l, 16, 40)
		if err != nil {
			return fmt.Errorf("chunk size %q", l)
		}
		if n == 0 {
			m.trailers, err = readFields(r)
			return err
		}
		b := make([]byte, n)
		got, err := io.ReadFull(r, b)
		m.body += string(b[:got])
		if err != nil {
			return io.ErrUnexpectedEOF
		}
		if l, err = readLine(r); err != nil || l != "" {
			return io.ErrUnexpectedEOF
		}
	}
}

// exchange is a request that the application has the head of.
type exchange struct {
	*message
	c *net.TCPConn
	r *bufio.Reader
	// note tells the application's record of the body.
	note func()
}

func (x *exchange) readBody() error {
	err := x.message.readBody(x.r, false, false)
	x.note()
	return err
}

func (x *exchange) write(s string) error {
	_, err := io.WriteString(x.c, s)
	return err
}

// rawApp is an HTTP/1 application made of bytes.
type rawApp struct {
	addr string

	mu      sync.Mutex
	handler func(*exchange) (keep bool)
	seen    []*message
	wrong   []string
	conns   int
}

// maxSeen bounds what an application remembers.
const maxSeen = 10000

const okReply = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// answer reads the body, then writes a reply.
func answer(reply string, closing bool) func(*exchange) bool {
	return func(x *exchange) bool {
		if x.readBody() != nil {
			return false
		}
		return x.write(reply) == nil && !closing
	}
}

func newApp(t testing.TB) *rawApp {
	a := &rawApp{handler: answer(okReply, false)}
	a.addr = listen(t, a.serve)
	return a
}

func (a *rawApp) serve(c *net.TCPConn) {
	a.mu.Lock()
	a.conns++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.conns--
		a.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		m, err := readHead(r)
		if err != nil {
			var ne net.Error
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, &ne) {
				a.mu.Lock()
				a.wrong = append(a.wrong, err.Error())
				a.mu.Unlock()
			}
			return
		}
		record := *m
		note := func() {
			a.mu.Lock()
			record = *m
			a.mu.Unlock()
		}
		a.mu.Lock()
		if len(a.seen) < maxSeen {
			a.seen = append(a.seen, &record)
		}
		h := a.handler
		a.mu.Unlock()
		if !h(&exchange{m, c, r, note}) {
			return
		}
	}
}

func (a *rawApp) handle(h func(*exchange) bool) {
	a.mu.Lock()
	a.handler, a.seen, a.wrong = h, nil, nil
	a.mu.Unlock()
}

// saw returns what came since handle; bodies may still be arriving.
func (a *rawApp) saw() (seen []*message, wrong []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range a.seen {
		now := *m
		seen = append(seen, &now)
	}
	return seen, append(wrong, a.wrong...)
}

func (a *rawApp) open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.conns
}

// client is a raw connection of the workload.
type client struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func dial(t testing.TB, to string) *client {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "tcp", to)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &client{c.(*net.TCPConn), t, bufio.NewReader(c)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

// response reads one response with its interim ones.
func (c *client) response(method string) (*message, error) {
	var interim []*message
	for {
		m, err := readHead(c.r)
		if err != nil {
			return m, err
		}
		if !strings.HasPrefix(m.line, "HTTP/1.1 ") {
			return m, fmt.Errorf("status line %q", m.line)
		}
		s := m.status()
		if s >= 100 && s < 200 && s != 101 {
			interim = append(interim, m)
			continue
		}
		m.interim = interim
		none := method == "HEAD" || s == 101 || s == 204 || s == 304 || method == "CONNECT" && s < 300
		return m, m.readBody(c.r, none, true)
	}
}

// want reads a response that must be whole and have that status.
func (c *client) want(method string, status int) *message {
	c.t.Helper()
	m, err := c.response(method)
	if err != nil || m.status() != status {
		c.t.Fatalf("answered %q %q, %v; want %d", m.line, m.body, err, status)
	}
	return m
}

// ended waits for the end of the connection; what comes before it is an error.
func (c *client) ended() error {
	b, err := c.r.ReadByte()
	var ne net.Error
	switch {
	case err == nil:
		rest, _ := c.r.Peek(min(200, c.r.Buffered()))
		return fmt.Errorf("the connection goes on with %q", string(b)+string(rest))
	case errors.As(err, &ne) && ne.Timeout():
		return errors.New("the connection stays open")
	}
	return nil
}

// crlf makes the line ends of the wire.
func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// echoBytes is an application of bytes.
func echoBytes(c *net.TCPConn) { _, _ = io.Copy(c, c) }

func readFull(c *client, b []byte) (int, error) { return io.ReadFull(c.r, b) }
