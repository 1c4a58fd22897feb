package dataplane

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// forger makes certificates with the key of the mesh's own issuer, or with
// another.
type forger struct {
	issuer *x509.Certificate
	key    any
	chain  [][]byte
}

func meshIssuer(t *testing.T) *forger {
	t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(world.dir, "state", name))
		must(t, err)
		block, _ := pem.Decode(b)
		return block.Bytes
	}
	issuer, err := x509.ParseCertificate(read("issuer.pem"))
	must(t, err)
	b := read("issuer-key.pem")
	key, err := x509.ParsePKCS8PrivateKey(b)
	if err != nil {
		key, err = x509.ParseECPrivateKey(b)
	}
	must(t, err)
	return &forger{issuer, key, [][]byte{issuer.Raw}}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return k
}

// foreign is an issuer of the same name with another key.
func foreign(t *testing.T, of *forger) *forger {
	t.Helper()
	k := newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: of.issuer.Subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, SubjectKeyId: of.issuer.SubjectKeyId}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &k.PublicKey, k)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return &forger{c, k, [][]byte{der}}
}

// sign makes a certificate that change may spoil.
func (f *forger) sign(t *testing.T, change func(*x509.Certificate), uris ...string) tls.Certificate {
	t.Helper()
	k := newKey(t)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	for _, u := range uris {
		p, err := url.Parse(u)
		must(t, err)
		tmpl.URIs = append(tmpl.URIs, p)
	}
	if change != nil {
		change(tmpl)
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, f.issuer, &k.PublicKey, f.key)
	must(t, err)
	return tls.Certificate{Certificate: append([][]byte{der}, f.chain...), PrivateKey: k}
}

// meshDial opens mesh TLS as a peer's proxy would.
func meshDial(to, name string, cert *tls.Certificate, protocol string) (*tls.Conn, error) {
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: name + ".default.serviceaccount.identity.weft-system.cluster.local"}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	if protocol != "" {
		cfg.NextProtos = []string{protocol}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", to)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(patience))
	return c.(*tls.Conn), nil
}

func spiffe(account string) string { return "spiffe://cluster.local/ns/default/sa/" + account }

func (a *rawApp) requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// Who is not of the mesh, or not what the port wants, is not served.
func TestPeersThatAreNone(t *testing.T) {
	app := newApp(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	mesh := meshIssuer(t)
	other := foreign(t, mesh)
	me := spiffe(p.name + "-client")
	leaf := mesh.sign(t, nil, me)
	parsed, err := x509.ParseCertificate(leaf.Certificate[0])
	must(t, err)
	under := &forger{parsed, leaf.PrivateKey, leaf.Certificate}
	at := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
	}
	const get = "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, c := range []struct {
		name     string
		cert     *tls.Certificate
		protocol string
		says     string
		good     bool
	}{
		{"a peer", new(mesh.sign(t, nil, me)), "weft-http/1.1", get, true},
		{"no certificate", nil, "weft-http/1.1", get, false},
		{"an expired one", new(mesh.sign(t, at(-2*time.Hour, -time.Minute), me)), "weft-http/1.1", get, false},
		{"one that is not valid yet", new(mesh.sign(t, at(time.Hour, 2*time.Hour), me)), "weft-http/1.1", get, false},
		{"a foreign issuer of the same name", new(other.sign(t, nil, me)), "weft-http/1.1", get, false},
		{"another trust domain", new(mesh.sign(t, nil, "spiffe://elsewhere/ns/default/sa/a")), "weft-http/1.1", get, false},
		{"no SPIFFE", new(mesh.sign(t, nil, "http://a/b")), "weft-http/1.1", get, false},
		{"no name at all", new(mesh.sign(t, nil)), "weft-http/1.1", get, false},
		{"two names", new(mesh.sign(t, nil, me, spiffe("admin"))), "weft-http/1.1", get, false},
		{"not for clients", new(mesh.sign(t, func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] }, me)), "weft-http/1.1", get, false},
		{"signed by a peer", new(under.sign(t, nil, spiffe("admin"))), "weft-http/1.1", get, false},
		{"a protocol that the mesh has not", new(mesh.sign(t, nil, me)), "weft-none", get, false},
		{"a flow that nobody has announced", new(mesh.sign(t, nil, me)), "weft-flow", strings.Repeat("\x00", 200), false},
		{"text for frames", new(mesh.sign(t, nil, me)), "weft-mux", get, false},
		{"text for HTTP/2", new(mesh.sign(t, nil, me)), "weft-h2", get, false},
		{"noise for frames", new(mesh.sign(t, nil, me)), "weft-mux", http2.ClientPreface + strings.Repeat("\xff\x00\x80", 100), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := app.requests()
			nc, err := meshDial(p.before[0], p.name, c.cert, c.protocol)
			var b []byte
			if err == nil {
				defer nc.Close()
				_, _ = io.WriteString(nc, c.says) // a refusal shows when it is read
				b, err = io.ReadAll(nc)
			}
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				t.Fatalf("no end within %v, %q was said", patience, b)
			}
			if served := bytes.HasPrefix(b, []byte("HTTP/1.1 200")); served != c.good || app.requests()-before != map[bool]int{true: 1}[c.good] {
				t.Errorf("%q, %v, and the application saw %d requests", b, err, app.requests()-before)
			}
		})
	}
	for _, says := range []string{"\x16\x03\x01\x40\x00\x01" + strings.Repeat("\x00", 100), "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "\x00\x01\x02\x03", "\r\n\r\n\r\n", "weft"} {
		t.Run(fmt.Sprintf("%.8q", says), func(t *testing.T) {
			before := app.requests()
			c := dial(t, p.before[0])
			c.send(says)
			c.CloseWrite()
			if b, err := io.ReadAll(c.r); bytes.HasPrefix(b, []byte("HTTP/1.1 2")) || isTimeout(err) || app.requests() != before {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	must(t, firstRequestOK(p.to[0]))
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func firstRequestOK(to string) error {
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	if b, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
		return fmt.Errorf("%q %w", b, err)
	}
	return nil
}

// plainHead is a head between two proxies (docs/xds.md).
func plainHead(version byte, method, scheme, authority, path, protocol string, kv ...string) []byte {
	b := []byte{1, version}
	for _, s := range []string{method, scheme, authority, path, protocol} {
		b = append(append(b, byte(len(s))), s...)
	}
	return append(b, plainFields(kv...)...)
}

func plainFields(kv ...string) (b []byte) {
	for i := 0; i < len(kv); i += 2 {
		b = append(append(append(b, byte(len(kv[i])), byte(len(kv[i+1]))), kv[i]...), kv[i+1]...)
	}
	return b
}

// A peer whose proxy was taken over cannot make an application read what is not
// one request.
func TestHeadsOfAHostilePeer(t *testing.T) {
	app := newApp(t)
	p := newPair(t, port{protocol: "http", app: app.addr})
	cert := meshIssuer(t).sign(t, nil, spiffe(p.name+"-client"))
	get := func(kv ...string) []byte { return plainHead(0x11, "GET", "", "a", "/x", "", kv...) }
	post := func(kv ...string) []byte { return plainHead(0x11, "POST", "", "a", "/x", "", kv...) }
	to := func(authority string) []byte { return plainHead(0x11, "GET", "", authority, "/x", "") }
	path := func(p string) []byte { return plainHead(0x11, "GET", "", "a", p, "") }
	for _, c := range []struct {
		name     string
		head     []byte
		body     string
		trailers []byte
	}{
		{"two lengths", post("content-length", "3", "Content-Length", "5"), "abc", nil},
		{"a length below zero", post("content-length", "-3"), "abc", nil},
		{"a body that is too short", post("content-length", "30"), "abc", nil},
		{"a body that goes on", post("content-length", "1"), "aGET /evil HTTP/1.1\r\nHost: x\r\n\r\n", nil},
		{"a transfer coding", post("Transfer-Encoding", "chunked"), "0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n", nil},
		{"another host", get("Host", "b"), "", nil},
		{"connection", get("Connection", "close"), "", nil},
		{"upgrade", get("Upgrade", "websocket"), "", nil},
		{"line end in a value", get("x", "a\r\ny: z"), "", nil},
		{"line end in a name", get("x: a\r\ny", "z"), "", nil},
		{"no name", get("", "z"), "", nil},
		{"name of a pseudo-header", get(":path", "/y"), "", nil},
		{"white space in front of a value", get("x", " a"), "", nil},
		{"a method with a request", plainHead(0x11, "GET / HTTP/1.1\r\n\r\nGET", "", "a", "/x", ""), "", nil},
		{"a method with a space", plainHead(0x11, "GET /y", "", "a", "/x", ""), "", nil},
		{"a path with a line end", path("/ HTTP/1.1\r\nx: y"), "", nil},
		{"a path with a space", path("/a b"), "", nil},
		{"a whole URL for a path", path("http://b/"), "", nil},
		{"an asterisk with GET", path("*"), "", nil},
		{"no path", path(""), "", nil},
		{"a fragment", path("/a#b"), "", nil},
		{"a protocol", plainHead(0x11, "GET", "", "a", "/x", "websocket"), "", nil},
		{"an authority with a space", to("a b"), "", nil},
		{"an authority with a line end", to("a\r\nx: y"), "", nil},
		{"an authority with a user", to("u@a"), "", nil},
		{"an authority with open brackets", to("[[::a:b:99999999"), "", nil},
		{"an authority with two ports", to("a:80:80"), "", nil},
		{"an authority with a port that is none", to("a:99999"), "", nil},
		{"an authority without a host", to(":80"), "", nil},
		{"an authority with half an encoding", to("a%2"), "", nil},
		{"a length in trailers", post(), "abc", append([]byte{3, 0x11}, plainFields("Content-Length", "5")...)},
		{"a host in trailers", post(), "abc", append([]byte{3, 0x11}, plainFields("host", "b")...)},
		{"a head of a response", append([]byte{2, 0x11, '2', '0', '0', 0}, plainFields("a", "b")...), "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			app.handle(answer(okReply, false))
			nc, err := meshDial(p.before[0], p.name, &cert, "weft-mux")
			must(t, err)
			defer nc.Close()
			f := http2.NewFramer(nc, nc)
			f.AllowIllegalWrites = true
			_, err = io.WriteString(nc, http2.ClientPreface)
			must(t, err)
			must(t, f.WriteSettings())
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.head, EndHeaders: true, EndStream: c.body == ""})
			if c.body != "" {
				_ = f.WriteData(1, c.trailers == nil, []byte(c.body))
			}
			if c.trailers != nil {
				_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.trailers, EndHeaders: true, EndStream: true})
			}
			// The connection carries other clients, and goes on.
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: plainHead(0x11, "GET", "", "a", "/next", ""), EndHeaders: true, EndStream: true})
			reset, next := false, false
			for !reset || !next {
				fr, err := f.ReadFrame()
				if err != nil {
					t.Fatalf("reset %v, another one served %v, %v", reset, next, err)
				}
				switch fr := fr.(type) {
				case *http2.RSTStreamFrame:
					reset = reset || fr.StreamID == 1 && fr.ErrCode == http2.ErrCodeProtocol
				case *http2.HeadersFrame:
					b := fr.HeaderBlockFragment()
					if len(b) < 5 || fr.StreamID == 1 {
						t.Fatalf("stream %d is answered %q", fr.StreamID, b)
					}
					next = string(b[2:5]) == "200"
				case *http2.GoAwayFrame:
					t.Fatalf("the connection is ended: %v", fr)
				}
			}
			app.mu.Lock()
			defer app.mu.Unlock()
			for _, m := range app.seen {
				if m.whole && m.line != "GET /next HTTP/1.1" || strings.Contains(m.line, "evil") {
					t.Errorf("the application saw %q", m.line)
				}
			}
			if len(app.wrong) > 0 {
				t.Errorf("the application was sent %v", app.wrong)
			}
		})
	}
}
