package h2

import (
	"runtime"
	"strings"

	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2/hpack"
)

// blockBuffer is where the HPACK encoder writes.
type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// kick starts the writer where none runs. mu is held.
func (c *mux) kick() {
	if len(c.out) > 0 && !c.flushing && !c.ended {
		c.flushing = true
		go c.flush()
	}
}

// kickLast starts the writer for the last time; it closes the connection's
// outgoing side once everything is written. mu is held.
func (c *mux) kickLast() {
	if !c.flushing {
		c.flushing = true
		go c.flush()
	}
}

// reply notes that n bytes were queued in answer to a frame of the peer. mu is
// held.
func (c *mux) reply(n int) *ConnError {
	if c.replies += n; c.replies > replyLimit {
		return connErr(CodeEnhanceYourCalm, "answers are not read")
	}
	c.kick()
	return nil
}

// flush writes what is queued until nothing is. It is the only goroutine that
// writes; there is at most one at a time.
func (c *mux) flush() {
	c.mu.Lock()
	if len(c.streams) > 2 {
		// Whoever is ready to send adds its frames to this batch first.
		c.unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	var buf []byte
	var err error
	for err == nil && len(c.out) > 0 {
		buf, c.out = c.out, buf[:0]
		c.replies = 0
		handed := c.handed
		if c.client && !c.ended {
			c.handed = max(c.nextOwn, 2) - 2
		}
		c.unlock()
		taken := c.t.Taken()
		if _, err = c.t.Write(buf); err == nil {
			err = c.t.Flush()
		}
		nothing := err != nil && c.t.Taken() == taken
		c.mu.Lock()
		if nothing {
			c.handed = handed
		}
		c.wakeBlocked()
	}
	if err != nil {
		c.end(&ConnError{Code: CodeInternal, Reason: "write failed", Err: err})
		c.after = append(c.after, c.close)
	} else if c.ended {
		c.after = append(c.after, func() { _ = c.t.CloseWrite() })
	} else if len(c.streams) == 0 && cap(c.out) > idleBuffer {
		c.out = nil
	}
	c.flushing = false
	c.idle.Broadcast()
	c.unlock()
}

// wakeBlocked lets the writers that wait for the connection look again. mu is
// held.
func (c *mux) wakeBlocked() {
	for i, s := range c.blocked {
		s.waiting = false
		s.canWrite.Signal()
		c.blocked[i] = nil
	}
	c.blocked = c.blocked[:0]
}

// frameLimit is how large a payload may be that we send, in bytes. A peer's
// larger limit is not used: frames of one stream must not hold up others.
func (c *mux) frameLimit() int { return min(int(c.peer.frameSize), minFrameSize) }

// encodeRequest encodes a request's head into encBuf; mu is held until it is
// queued, since heads must leave in the order encoded.
func (c *mux) encodeRequest(r *http.Request) {
	c.encBuf = c.encBuf[:0]
	c.put(":method", string(r.Method))
	connect := string(r.Method) == "CONNECT"
	if !connect || len(r.Protocol) > 0 {
		scheme := "http"
		if len(r.Scheme) > 0 {
			scheme = string(r.Scheme)
		}
		c.put(":scheme", scheme)
		path := "/"
		if len(r.Target) > 0 {
			path = string(r.Target)
		}
		c.put(":path", path)
	}
	authority := r.Authority
	if connect && len(authority) == 0 {
		authority = r.Target
	}
	if len(authority) > 0 {
		c.put(":authority", string(authority))
	}
	if len(r.Protocol) > 0 {
		c.put(":protocol", string(r.Protocol))
	}
	c.encodeFields(r.Fields)
}

func (c *mux) encodeResponse(r *http.Response) {
	c.encBuf = c.encBuf[:0]
	s := r.Status
	c.put(":status", string([]byte{byte('0' + s/100%10), byte('0' + s/10%10), byte('0' + s%10)}))
	c.encodeFields(r.Fields)
}

// encodeFields encodes fields without those that are not for HTTP/2 (RFC 9113,
// section 8.2.2) and with names in lower case.
func (c *mux) encodeFields(fields []http.Field) {
	for i := range fields {
		name := lower(fields[i].Name)
		if name == "" || name[0] == ':' || name == "host" || connectionSpecific(name) ||
			(name == "te" && !strings.EqualFold(string(fields[i].Value), "trailers")) {
			continue
		}
		c.put(name, string(fields[i].Value))
	}
}

func (c *mux) put(name, value string) {
	// Short secrets must not be guessable through the compression (RFC 7541,
	// section 7.1.3).
	secret := name == "authorization" || name == "proxy-authorization" || (name == "cookie" && len(value) < 20)
	// Writing to a blockBuffer cannot fail.
	_ = c.enc.WriteField(hpack.HeaderField{Name: name, Value: value, Sensitive: secret})
}

// headSize is the size of a field section as SETTINGS_MAX_HEADER_LIST_SIZE
// counts it, in bytes.
func headSize(fields []http.Field) int {
	n := 0
	for i := range fields {
		n += len(fields[i].Name) + len(fields[i].Value) + 32
	}
	return n
}

func lower(b []byte) string {
	for _, ch := range b {
		if ch >= 'A' && ch <= 'Z' {
			return strings.ToLower(string(b))
		}
	}
	return string(b)
}

func connectionSpecific(name string) bool {
	switch name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return true
	}
	return false
}
