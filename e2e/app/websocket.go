package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
)

// Opcodes of RFC 6455, section 5.2.
const wsText, wsClose = 1, 8

// wsWrite writes one frame of at most 64 KiB; a client masks (section 5.3).
func wsWrite(w io.Writer, op byte, p []byte, mask bool) error {
	b := []byte{0x80 | op, 0}
	switch {
	case len(p) < 126:
		b[1] = byte(len(p))
	case len(p) < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
	default:
		return fmt.Errorf("a frame of %d bytes", len(p))
	}
	var key [4]byte
	if mask {
		b[1] |= 0x80
		if _, err := rand.Read(key[:]); err != nil {
			return err
		}
		b = append(b, key[:]...)
	}
	for i := range p {
		b = append(b, p[i]^key[i%4])
	}
	_, err := w.Write(b)
	return err
}

func wsRead(r io.Reader) (op byte, p []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(h[1] & 0x7f)
	switch n {
	case 126:
		var l [2]byte
		if _, err := io.ReadFull(r, l[:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint16(l[:]))
	case 127:
		return 0, nil, errors.New("a frame of more than 64 KiB")
	}
	var key [4]byte
	if h[1]&0x80 != 0 {
		if _, err := io.ReadFull(r, key[:]); err != nil {
			return 0, nil, err
		}
	}
	p = make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		return 0, nil, err
	}
	for i := range p {
		p[i] ^= key[i%4]
	}
	return h[0] & 15, p, nil
}

func wsAccept(key string) string {
	h := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(h[:])
}

// webSocket sends messages back until it is told to close: over an upgrade of
// HTTP/1.1, or over the stream of an extended CONNECT (RFC 8441).
func (s *server) webSocket(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-backend", s.hostname)
	w.Header().Set("x-version", s.version)
	if r.ProtoMajor == 2 && r.Method == http.MethodConnect && r.Header.Get(":protocol") == "websocket" {
		c := http.NewResponseController(w)
		w.WriteHeader(http.StatusOK)
		if c.Flush() == nil {
			wsEcho(r.Body, w, func() { c.Flush() }) //nolint:errcheck // the client went away
		}
		return
	}
	key := r.Header.Get("sec-websocket-key")
	if !strings.EqualFold(r.Header.Get("upgrade"), "websocket") || key == "" || r.Header.Get("sec-websocket-version") != "13" {
		http.Error(w, "a WebSocket is wanted", http.StatusUpgradeRequired)
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\nx-backend: %s\r\nx-version: %s\r\n\r\n", wsAccept(key), s.hostname, s.version)
	wsEcho(buffered, c, func() {})
}

func wsEcho(r io.Reader, w io.Writer, flush func()) {
	for {
		op, p, err := wsRead(r)
		if err != nil || wsWrite(w, op, p, false) != nil {
			return
		}
		flush()
		if op == wsClose {
			return
		}
	}
}

// wsTalk sends messages of several sizes, wants each back, and closes.
func wsTalk(r io.Reader, w io.Writer) error {
	for _, n := range []int{0, 5, 125, 126, 5000, 60000} {
		sent := strings.Repeat("x", n)
		if err := wsWrite(w, wsText, []byte(sent), true); err != nil {
			return err
		}
		if op, got, err := wsRead(r); err != nil || op != wsText || string(got) != sent {
			return fmt.Errorf("a message of %d bytes came back as %d bytes with opcode %d: %w", n, len(got), op, err)
		}
	}
	if err := wsWrite(w, wsClose, []byte{3, 232}, true); err != nil {
		return err
	}
	if op, _, err := wsRead(r); err != nil || op != wsClose {
		return fmt.Errorf("the close frame was answered by opcode %d: %w", op, err)
	}
	return nil
}

// webSocketCaller has a WebSocket over HTTP/1.1.
type webSocketCaller struct {
	url     string
	headers headerFlag
}

func (c webSocketCaller) call(ctx context.Context) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return answer{}, err
	}
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return answer{}, err
	}
	key := base64.StdEncoding.EncodeToString(nonce[:])
	for _, h := range append(headerFlag{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", key}}, c.headers...) {
		req.Header.Set(h[0], h[1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answered(resp)
	both, ok := resp.Body.(io.ReadWriter)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		return a, fmt.Errorf("status %s %s", resp.Status, resp.Header.Get("weft-proxy-error"))
	}
	if got := resp.Header.Get("sec-websocket-accept"); got != wsAccept(key) {
		return a, fmt.Errorf("the handshake is answered with %q", got)
	}
	return a, wsTalk(bufio.NewReader(both), both)
}

// streamCaller has WebSockets over streams of one HTTP/2 connection. The
// program must run with GODEBUG=http2xconnect=1, and so must the server. The
// transport of net/http refuses the name of the pseudo-header.
type streamCaller struct {
	t       http.RoundTripper
	url     string
	headers headerFlag
}

func newStreamCaller(url string, headers headerFlag) streamCaller {
	//nolint:staticcheck // see above
	return streamCaller{&http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}, url, headers}
}

func (c streamCaller) call(ctx context.Context) (answer, error) {
	body, w := io.Pipe()
	defer w.Close() //nolint:errcheck // a pipe's end
	req, err := http.NewRequestWithContext(ctx, http.MethodConnect, c.url, body)
	if err != nil {
		return answer{}, err
	}
	for _, h := range append(headerFlag{{":protocol", "websocket"}, {"sec-websocket-version", "13"}}, c.headers...) {
		req.Header[h[0]] = []string{h[1]}
	}
	resp, err := c.t.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answered(resp)
	if resp.StatusCode != http.StatusOK {
		return a, fmt.Errorf("status %s %s", strconv.Itoa(resp.StatusCode), resp.Header.Get("weft-proxy-error"))
	}
	return a, wsTalk(resp.Body, w)
}
