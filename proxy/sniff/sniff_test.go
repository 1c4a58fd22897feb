package sniff

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestProtocol(t *testing.T) {
	hello := clientHello(t, "a.b", "weft-h2")
	for _, c := range []struct {
		in   string
		want Kind
	}{
		{"GET / HTTP/1.1\r\n", HTTP1}, {"POST /x?y HTTP/1.0\r\nHost", HTTP1}, {"\r\nGET / HTTP/1.1\r\n", HTTP1}, {"CONNECT a:1 HTTP/1.1\r\n", HTTP1},
		{"M-SEARCH * HTTP/1.1\r\n", HTTP1}, {"GET http://x/ HTTP/1.1\r\n", HTTP1}, {"GET /" + strings.Repeat("a", 5000), HTTP1}, {"PRI / HTTP/1.1\r\n", HTTP1},
		{preface, HTTP2}, {preface + "\x00\x00", HTTP2},
		{string(hello), TLS},
		{"\x16\x03\x01\x40\x01\x01", Opaque}, {"\x16\x02", Opaque}, {"\x16\x03\x01\x00\x10\x02", Opaque},
		{"*1\r\n$4\r\nPING\r\n", Opaque}, {"PING\r\n", Opaque}, {"GET key\r\n", Opaque}, {"EHLO me\r\n", Opaque}, {"SSH-2.0-x\r\n", Opaque},
		{"\x00\x00\x00\x08\x04\xd2\x16\x2f", Opaque}, {"\r\rx", Opaque}, {"GET / HTTP/2.0\r\n", Opaque}, {"HELLO " + strings.Repeat("a", 5000), Opaque}, {" GET / HTTP/1.1\r\n", Opaque},
		{"GET /\x01 HTTP/1.1\r\n", Opaque}, {strings.Repeat("A", 25), Opaque}, {"\n", Opaque},
	} {
		k, more := Protocol([]byte(c.in))
		if k != c.want || more {
			t.Errorf("%.40q: %v %v, want %v", c.in, k, more, c.want)
		}
		// What is judged early is judged the same.
		for n := range len(c.in) {
			if k, more := Protocol([]byte(c.in[:n])); !more && k != c.want {
				t.Errorf("%q: %v before the rest says %v", c.in[:n], k, c.want)
			}
		}
	}
	if _, more := Protocol(nil); !more {
		t.Error("nothing is enough")
	}
}

// clientHello is what crypto/tls sends first.
func clientHello(t testing.TB, name string, alpn ...string) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		tls.Client(a, &tls.Config{ServerName: name, NextProtos: alpn, InsecureSkipVerify: true}).Handshake()
		a.Close()
	}()
	b.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 32<<10)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestClientHello(t *testing.T) {
	p := clientHello(t, "Web.Example", "weft-h2", "weft-http/1.1")
	for n := range p {
		if _, more, err := ClientHello(p[:n]); !more || err != nil {
			t.Fatalf("%d bytes: %v %v", n, more, err)
		}
	}
	check := func(p []byte) {
		t.Helper()
		h, more, err := ClientHello(p)
		if more || err != nil || h.SNI != "web.example" || !slices.Equal(h.ALPN, []string{"weft-h2", "weft-http/1.1"}) || !h.Mesh() {
			t.Fatalf("%+v %v %v", h, more, err)
		}
	}
	check(p)
	check(append(p, "rest"...))
	// The same message in records of 100 bytes.
	var cut []byte
	for msg := p[5:]; len(msg) > 0; {
		n := min(100, len(msg))
		cut = append(cut, 0x16, 3, 1, 0, byte(n))
		cut = append(cut, msg[:n]...)
		msg = msg[n:]
	}
	check(cut)
	h, _, err := ClientHello(clientHello(t, "10.0.0.1"))
	if err != nil || h.SNI != "" || h.ALPN != nil || h.Mesh() {
		t.Errorf("%+v %v", h, err)
	}
}

func TestMalformedHello(t *testing.T) {
	for _, p := range []string{"GET /", "\x16\x02", "\x16\x03\x01\x00\x00", "\x16\x03\x01\x00\x01\x02", "\x16\x03\x01\x00\x04\x01\xff\xff\xff", "\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00"} {
		if _, more, err := ClientHello([]byte(p)); more || !errors.Is(err, ErrHello) {
			t.Errorf("%q: %v %v", p, more, err)
		}
	}
}

// What is said of the whole is never said otherwise of a part, and a hello that
// never ends is given up.
func FuzzSplitHello(f *testing.F) {
	f.Add(clientHello(f, "a.b", "h2"), uint16(7))
	f.Add(clientHello(f, "a.b"), uint16(1))
	f.Fuzz(func(t *testing.T, msg []byte, size uint16) {
		// The message in records of the given size.
		var cut []byte
		n := max(int(size)%2000, 1)
		for p := msg; len(p) > 0; {
			m := min(n, len(p))
			cut = append(cut, 0x16, 3, 1, byte(m>>8), byte(m))
			cut = append(cut, p[:m]...)
			p = p[m:]
		}
		want, more, err := ClientHello(cut)
		for i := range cut {
			h, m, e := ClientHello(cut[:i])
			if m {
				continue
			}
			if e == nil && (err != nil || more || h.SNI != want.SNI || !slices.Equal(h.ALPN, want.ALPN)) || e != nil && err == nil {
				t.Fatalf("%d of %d bytes: %+v %v; the whole: %+v %v %v", i, len(cut), h, e, want, more, err)
			}
		}
	})
}

func TestEndlessHelloIsGivenUp(t *testing.T) {
	var p []byte
	for i := 0; len(p) < 64<<10; i++ {
		r := make([]byte, 5+1000)
		copy(r, "\x16\x03\x01\x03\xe8")
		if i == 0 {
			copy(r[5:], "\x01\x00\xff\xff")
		}
		p = append(p, r...)
	}
	if _, more, err := ClientHello(p); more || !errors.Is(err, ErrHello) {
		t.Error(more, err)
	}
}

func FuzzClientHello(f *testing.F) {
	f.Add(clientHello(f, "a.b", "h2"))
	f.Add([]byte("\x16\x03\x01\x00\x08\x01\x00\x00\x04\x03\x03\x00\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		h, more, err := ClientHello(p)
		if more && err != nil || (more || err != nil) && (h.SNI != "" || h.ALPN != nil) {
			t.Fatal("an answer with an error")
		}
		if !more && err == nil {
			if k, _ := Protocol(p); k != TLS {
				t.Fatalf("a ClientHello that is %v", k)
			}
		}
		Protocol(p)
	})
}
