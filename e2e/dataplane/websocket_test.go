package dataplane

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// Opcodes of RFC 6455 section 5.2.
const (
	wsText, wsBinary, wsClose, wsPing, wsPong = 1, 2, 8, 9, 10
)

// wsWrite writes one frame; a client masks (RFC 6455 section 5.3).
func wsWrite(w io.Writer, op byte, p []byte, masked bool) error {
	b := []byte{0x80 | op}
	mask := byte(0)
	if masked {
		mask = 0x80
	}
	switch {
	case len(p) < 126:
		b = append(b, mask|byte(len(p)))
	case len(p) < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(len(p)))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(len(p)))
	}
	if masked {
		var key [4]byte
		rand.Read(key[:])
		b = append(b, key[:]...)
		n := len(b)
		b = append(b, p...)
		for i := range p {
			b[n+i] ^= key[i%4]
		}
	} else {
		b = append(b, p...)
	}
	_, err := w.Write(b)
	return err
}

func wsRead(r io.Reader) (op byte, p []byte, err error) {
	var h [8]byte
	if _, err = io.ReadFull(r, h[:2]); err != nil {
		return 0, nil, err
	}
	op, masked, n := h[0]&15, h[1]&0x80 != 0, uint64(h[1]&0x7f)
	switch n {
	case 126:
		_, err = io.ReadFull(r, h[:2])
		n = uint64(binary.BigEndian.Uint16(h[:2]))
	case 127:
		_, err = io.ReadFull(r, h[:8])
		n = binary.BigEndian.Uint64(h[:8])
	}
	if err != nil || n > 64<<20 {
		return 0, nil, errors.Join(err, fmt.Errorf("a frame of %d bytes", n))
	}
	var key [4]byte
	if masked {
		if _, err = io.ReadFull(r, key[:]); err != nil {
			return 0, nil, err
		}
	}
	p = make([]byte, n)
	if _, err = io.ReadFull(r, p); err != nil {
		return 0, nil, err
	}
	if masked {
		for i := range p {
			p[i] ^= key[i%4]
		}
	}
	return op, p, nil
}

// wsEcho answers frames until it is asked to close.
func wsEcho(r io.Reader, w io.Writer, flush func()) {
	for {
		op, p, err := wsRead(r)
		if err != nil {
			return
		}
		if op == wsPing {
			op = wsPong
		}
		if wsWrite(w, op, p, false) != nil {
			return
		}
		flush()
		if op == wsClose {
			return
		}
	}
}

func wsAccept(key string) string {
	h := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(h[:])
}

// wsApp echoes over an upgrade of HTTP/1.1.
func wsApp(t testing.TB) string {
	return serveH2(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
			http.Error(w, "not a WebSocket", 400)
			return
		}
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", wsAccept(r.Header.Get("Sec-WebSocket-Key")))
		wsEcho(rw, c, func() {})
	})
}

// wsDial upgrades a connection.
func wsDial(t testing.TB, to string) *client {
	t.Helper()
	c := dial(t, to)
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	c.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n")
	if m := c.want("GET", 101); !m.has("Sec-WebSocket-Accept: " + wsAccept(key)) {
		t.Fatal(m.fields)
	}
	return c
}

// wsTalk sends messages of many sizes and wants each back.
func wsTalk(t testing.TB, r io.Reader, w io.Writer) {
	t.Helper()
	for i, n := range []int{0, 1, 125, 126, 4096, 65535, 65536, 1 << 20, 3, 5 << 20} {
		p := make([]byte, n)
		rand.Read(p)
		sent := make(chan error, 1)
		go func() { sent <- wsWrite(w, wsBinary, p, true) }()
		op, got, err := wsRead(r)
		if err != nil || op != wsBinary || string(got) != string(p) {
			t.Fatalf("message %d of %d bytes: opcode %d, %d bytes, %v", i, n, op, len(got), err)
		}
		must(t, <-sent)
		must(t, wsWrite(w, wsPing, []byte("p"), true))
		if op, got, err := wsRead(r); err != nil || op != wsPong || string(got) != "p" {
			t.Fatal(op, got, err)
		}
	}
	must(t, wsWrite(w, wsClose, []byte{3, 232}, true))
	if op, _, err := wsRead(r); err != nil || op != wsClose {
		t.Fatal(op, err)
	}
}

func TestWebSocket(t *testing.T) {
	app := wsApp(t)
	p := newPair(t, port{protocol: "http", app: app}, port{app: app})
	for i, way := range []string{"declared", "detected"} {
		t.Run(way, func(t *testing.T) {
			c := wsDial(t, p.to[i])
			wsTalk(t, c.r, c)
			must(t, c.ended())
		})
	}
	eventually(t, "nothing is left open", func() error {
		for _, s := range []*sidecar{p.in, p.out} {
			if n, _ := s.metric("tcp_open_connections"); n > 0 {
				return fmt.Errorf("%s: %v connections", s.name, n)
			}
		}
		return nil
	})
}

// TestWebSocketOverHTTP2 is RFC 8441: the client's side must have been told that
// it may (SETTINGS_ENABLE_CONNECT_PROTOCOL), and the application's must allow it.
func TestWebSocketOverHTTP2(t *testing.T) {
	app := rawH2App(t, []http2.Setting{{ID: http2.SettingEnableConnectProtocol, Val: 1}}, func(c *h2conn, f http2.Frame) {
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if f.PseudoValue("method") == "CONNECT" && f.PseudoValue("protocol") == "websocket" && f.PseudoValue("path") == "/ws" {
				c.head(f.StreamID, false, ":status", "200")
			} else {
				c.head(f.StreamID, true, ":status", "400")
			}
		case *http2.DataFrame: // each is one frame of the client, or a part
			c.data(f.StreamID, f.StreamEnded(), string(f.Data()))
		}
	})
	p := newPair(t, port{protocol: "http2", app: app})
	c := dialH2(t, p.to[0])
	allowed := false
	for !allowed {
		f, err := c.fr.ReadFrame()
		must(t, err)
		if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
			v, ok := s.Value(http2.SettingEnableConnectProtocol)
			if allowed = true; !ok || v != 1 {
				t.Fatal("the proxy does not offer extended CONNECT")
			}
		}
	}
	_ = c.fr.WriteSettingsAck()
	c.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/ws", ":authority", "a", "sec-websocket-version", "13")
	in, out := io.Pipe()
	head := make(chan string, 1)
	go func() {
		for {
			f, err := c.fr.ReadFrame()
			if err != nil {
				out.CloseWithError(err)
				head <- err.Error()
				return
			}
			switch f := f.(type) {
			case *http2.MetaHeadersFrame:
				head <- f.PseudoValue("status")
			case *http2.RSTStreamFrame:
				out.CloseWithError(errors.New(f.String()))
				head <- f.String()
			case *http2.DataFrame:
				_, _ = out.Write(f.Data()) // all of it fits into the first window
			}
		}
	}()
	if got := <-head; got != "200" {
		t.Fatal("answered ", got)
	}
	for i := range 20 {
		// Smaller than any initial window.
		msg := strings.Repeat(fmt.Sprint(i), 500)
		var b strings.Builder
		must(t, wsWrite(&b, wsText, []byte(msg), true))
		c.data(1, false, b.String())
		if op, got, err := wsRead(in); err != nil || op != wsText || string(got) != msg {
			t.Fatal(op, len(got), err)
		}
	}
}
