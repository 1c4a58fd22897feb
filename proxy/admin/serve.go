package admin

import (
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
)

// serve answers the requests of one connection, one after another.
func (s *Server) serve(nc net.Conn, paths Paths) {
	c := conn.New(nc)
	defer c.Close()
	var req http.Request
	for {
		if c.SetDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		f, err := readHead(c, &req)
		if err != nil {
			var bad *h1.Error
			if errors.As(err, &bad) {
				_ = write(c, answer{status: bad.Status, text: bad.Reason + "\n"}, false, true)
			}
			return
		}
		// The views of the head die when the body is read.
		path, method := string(req.Path()), string(req.Method)
		closing := f.Close || f.Expect100 || !discard(c, f)
		a := s.answer(paths, method, path, nc.RemoteAddr())
		if write(c, a, method == "HEAD", closing) != nil || closing {
			return
		}
	}
}

// readHead reads the head of a request.
func readHead(c *conn.Conn, req *http.Request) (h1.Framing, error) {
	for {
		n, f, err := h1.ParseRequest(c.Buffered(), req)
		if err != nil {
			return f, err
		}
		if n > 0 {
			c.Discard(n)
			return f, nil
		}
		if err := c.Fill(); err != nil {
			return f, err
		}
	}
}

// discard reads a body to its end, and says whether that was possible.
func discard(c *conn.Conn, f h1.Framing) bool {
	if !f.HasBody() {
		return true
	}
	if f.Expect100 {
		return false
	}
	var r h1.Reader
	r.Reset(c, f)
	for n := 0; n <= maxBody; {
		p, err := r.Next()
		n += len(p)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
	}
	return false
}

// write sends an answer whole.
func write(c *conn.Conn, a answer, head, closing bool) error {
	r := http.Response{Status: a.status, Reason: []byte(reasons[a.status])}
	kind := "text/plain; charset=utf-8"
	if a.kind != "" {
		kind = a.kind
	}
	field := func(name, value string) {
		r.Fields = append(r.Fields, http.Field{Name: []byte(name), Value: []byte(value)})
	}
	field("content-type", kind)
	field("cache-control", "no-store")
	if a.allow != "" {
		field("allow", a.allow)
	}
	f := h1.Framing{Kind: h1.Length, Length: int64(len(a.text)), Close: closing}
	if head {
		f.Kind = h1.None
		field("content-length", strconv.Itoa(len(a.text)))
	}
	if _, err := c.Write(h1.AppendResponse(nil, &r, f)); err != nil {
		return err
	}
	if !head {
		if _, err := io.WriteString(c, a.text); err != nil {
			return err
		}
	}
	return c.Flush()
}

var reasons = map[int]string{
	200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 414: "URI Too Long",
	431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented",
	503: "Service Unavailable", 505: "HTTP Version Not Supported",
}
