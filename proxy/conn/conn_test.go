package conn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second

// tcpPair returns both ends of a loopback connection.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	d, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(); s.Close() })
	return d.(*net.TCPConn), s.(*net.TCPConn)
}

func pair(t testing.TB) (a, b *Conn) {
	x, y := tcpPair(t)
	return New(x), New(y)
}

func config(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"x"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _ := x509.ParseCertificate(der)
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"p"}},
		&tls.Config{RootCAs: pool, ServerName: "x", NextProtos: []string{"p"}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
}

// tlsPair returns both ends, client first.
func tlsPair(t testing.TB, a, b *Conn) (*Conn, *Conn) {
	t.Helper()
	sc, cc := config(t)
	type res struct {
		c   *Conn
		err error
	}
	ch := make(chan res, 1)
	go func() {
		c, err := Server(context.Background(), b, sc)
		if err == nil {
			err = c.Flush()
			if err == nil {
				err = c.under.Flush()
			}
		}
		ch <- res{c, err}
	}()
	c, err := Client(context.Background(), a, cc)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	r := <-ch
	if r.err != nil {
		t.Fatal(r.err)
	}
	return c, r.c
}

// kinds runs f over every transport that a Conn can have.
func kinds(t *testing.T, f func(t *testing.T, a, b *Conn)) {
	t.Run("tcp", func(t *testing.T) { a, b := pair(t); f(t, a, b) })
	t.Run("pipe", func(t *testing.T) { x, y := net.Pipe(); f(t, New(x), New(y)) })
	t.Run("tls", func(t *testing.T) { a, b := pair(t); c, s := tlsPair(t, a, b); f(t, c, s) })
	t.Run("tls-pipe", func(t *testing.T) {
		x, y := net.Pipe()
		sc, cc := config(t)
		sc.SessionTicketsDisabled = true // nobody reads them while the handshake ends
		a, b := New(x), New(y)
		ch := make(chan *Conn, 1)
		go func() {
			c, err := Server(context.Background(), b, sc)
			if err != nil {
				t.Error(err)
			}
			ch <- c
		}()
		c, err := Client(context.Background(), a, cc)
		if err != nil {
			t.Fatal(err)
		}
		go c.Flush()
		f(t, c, <-ch)
	})
	t.Run("tls-foreign", func(t *testing.T) {
		a, b := pair(t)
		sc, cc := config(t)
		ts, tc := tls.Server(b, sc), tls.Client(a, cc)
		done := make(chan error, 1)
		go func() {
			err := ts.Handshake()
			if err == nil {
				err = b.Flush()
			}
			done <- err
		}()
		if err := tc.Handshake(); err != nil {
			t.Fatal(err)
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		f(t, NewTLS(a, tc), NewTLS(b, ts))
	})
}

func readAll(t *testing.T, c *Conn, n int) []byte {
	t.Helper()
	var out []byte
	for len(out) < n {
		if len(c.Buffered()) == 0 {
			if err := c.Fill(); err != nil {
				t.Errorf("after %d of %d bytes: %v", len(out), n, err)
				return out
			}
		}
		out = append(out, c.Buffered()...)
		c.Discard(len(c.Buffered()))
	}
	return out
}

func TestBytesArriveInOrder(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		want := make([]byte, 3<<20)
		rand.Read(want)
		go func() {
			// Pieces of all sizes round the borders of buffers and records.
			sizes := []int{1, 7, 100, 4095, 4096, 16383, 16384, 16385, 17408, 17409, 70000, 200000}
			for i, p := 0, want; len(p) > 0; i++ {
				n := min(sizes[i%len(sizes)], len(p))
				if i%3 == 0 {
					buf := append(a.AvailableBuffer(), p[:n]...)
					a.Write(buf)
				} else if _, err := a.Write(p[:n]); err != nil {
					t.Error(err)
					return
				}
				p = p[n:]
			}
			if err := a.Flush(); err != nil {
				t.Error(err)
			}
		}()
		if got := readAll(t, b, len(want)); !bytes.Equal(got, want) {
			t.Fatal("bytes differ")
		}
		if b.in != nil && b.r == b.w {
			b.Release()
		}
		if b.in != nil {
			t.Error("an empty buffer is kept")
		}
	})
}

func TestFillFlushesBeforeItWaits(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		go func() {
			for range 20 {
				if b.Fill() != nil {
					return
				}
				p := b.Buffered()
				b.Write(p)
				b.Discard(len(p))
			}
			b.Fill()
		}()
		a.SetDeadline(time.Now().Add(patience))
		for i := range 20 {
			a.Write([]byte("he"))
			a.Write([]byte("llo"))
			var err error
			if i%2 == 0 {
				err = a.Fill()
			} else {
				err = a.FillReply()
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(a.Buffered()) != "hello" {
				t.Fatalf("got %q", a.Buffered())
			}
			a.Discard(5)
		}
	})
}

func TestFillAddsToWhatIsThere(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		go func() {
			for i := range 40 {
				a.Write(bytes.Repeat([]byte{byte('a' + i%26)}, 2000))
				if err := a.Flush(); err != nil {
					return // the reader gives up at its limit
				}
			}
		}()
		var err error
		for err == nil {
			err = b.Fill()
		}
		if !errors.Is(err, ErrBufferFull) {
			t.Fatal(err)
		}
		got := b.Buffered()
		if len(got) < MaxBuffered || len(got) > 80000 {
			t.Fatalf("%d bytes", len(got))
		}
		for i, c := range got {
			if c != byte('a'+i/2000%26) {
				t.Fatalf("byte %d is %q", i, c)
			}
		}
		b.Close()
	})
}

func TestDeadlineWakesFill(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		go func() { b.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) }()
		err := b.Fill()
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		// A read can be repeated.
		b.SetReadDeadline(time.Now().Add(patience))
		go func() { a.Write([]byte("x")); a.Flush() }()
		if err := b.Fill(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestIdleHoldsNoBuffer(t *testing.T) {
	for _, secure := range []bool{false, true} {
		a, b := pair(t)
		if secure {
			a, b = tlsPair(t, a, b)
		}
		for range 3 {
			a.Write([]byte("hello"))
			a.Flush()
			if err := b.Fill(); err != nil {
				t.Fatal(err)
			}
			b.Discard(5)
			b.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if err := b.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			b.SetReadDeadline(time.Time{})
			for c := b; c != nil; c = c.under {
				if c.in != nil || c.out != nil {
					t.Errorf("secure %v: an idle connection holds a buffer", secure)
				}
			}
		}
	}
}

func TestEndOfStream(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		go func() {
			a.Write([]byte("last"))
			a.CloseWrite()
		}()
		if got := readAll(t, b, 4); string(got) != "last" {
			t.Fatalf("%q", got)
		}
		for range 2 {
			if err := b.Fill(); err != io.EOF {
				t.Fatal(err)
			}
		}
	})
}

func TestCloseSendsWhatIsPending(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		go func() {
			a.Write([]byte("bye"))
			a.Close()
			a.Close()
		}()
		if got := readAll(t, b, 3); string(got) != "bye" {
			t.Fatalf("%q", got)
		}
		if err := b.Fill(); err != io.EOF {
			t.Fatal(err)
		}
		b.Close()
		if _, err := a.Write([]byte("x")); err == nil {
			if err = a.Flush(); err == nil {
				t.Error("a closed connection takes bytes")
			}
		}
	})
}

func TestHalfCloseKeepsTheOtherDirection(t *testing.T) {
	for _, secure := range []bool{false, true} {
		a, b := pair(t)
		if secure {
			a, b = tlsPair(t, a, b)
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if err := b.Fill(); err != io.EOF {
			t.Fatal(err)
		}
		b.Write([]byte("answer"))
		if err := b.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, a, 6); string(got) != "answer" {
			t.Fatalf("%q", got)
		}
	}
}

func TestTruncatedTLSIsNoRegularEnd(t *testing.T) {
	a, b := pair(t)
	raw := a.Raw()
	_, s := tlsPair(t, a, b)
	raw.Close()
	if err := s.Fill(); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
}

func TestAbortResets(t *testing.T) {
	a, b := pair(t)
	a.Write([]byte("never sent"))
	a.Abort()
	if err := b.Fill(); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}

func TestCloseWakesEverybody(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		a.SetDuplex()
		done := make(chan error, 2)
		go func() { done <- a.Fill() }()
		go func() {
			p := make([]byte, 1<<20)
			for {
				if _, err := a.Write(p); err != nil { // b does not read
					done <- err
					return
				}
			}
		}()
		go a.Close()
		for range 2 {
			select {
			case err := <-done:
				if err == nil {
					t.Error("no error")
				}
			case <-time.After(patience):
				t.Fatal("somebody still waits")
			}
		}
	})
}

func TestAnswerBeforeRefusal(t *testing.T) {
	a, b := pair(t)
	// The peer answers early and closes with our bytes unread.
	b.Write([]byte("413"))
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	b.CloseWrite()
	for !a.Readable() {
		time.Sleep(time.Millisecond)
	}
	a.Write(make([]byte, 1000))
	if err := a.Fill(); err != nil || string(a.Buffered()) != "413" {
		t.Fatalf("%v %q", err, a.Buffered())
	}
}

func TestAlive(t *testing.T) {
	for _, secure := range []bool{false, true} {
		a, b := pair(t)
		if secure {
			a, b = tlsPair(t, a, b) // session tickets are on their way
		}
		wait := func(what string, f func() bool) {
			t.Helper()
			for end := time.Now().Add(patience); !f(); time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("secure %v: %s", secure, what)
				}
			}
		}
		if secure {
			wait("tickets", a.Readable)
		}
		for range 2 { // looking changes nothing
			if !a.Alive() {
				t.Fatalf("secure %v: dead", secure)
			}
		}
		if a.PeerGone() || a.Readable() {
			t.Fatalf("secure %v: dead", secure)
		}
		b.Write([]byte("unasked"))
		b.Flush()
		wait("bytes", func() bool { return !a.Alive() })
		if !a.Readable() || a.PeerGone() {
			t.Error("unread bytes")
		}
		readAll(t, a, 7)
		b.CloseWrite()
		wait("end", func() bool { return !a.Alive() && a.Readable() })
		if a.PeerGone() {
			t.Errorf("secure %v: a peer that only stopped sending counts as gone", secure)
		}
		b.Abort()
		wait("gone", a.PeerGone)
	}
}

func TestHandshakeFailureIsTold(t *testing.T) {
	a, b := pair(t)
	sc, cc := config(t)
	cc.RootCAs = x509.NewCertPool()
	done := make(chan error, 1)
	go func() {
		c, err := Server(context.Background(), b, sc)
		if err == nil {
			err = c.Fill()
		}
		done <- err
	}()
	if _, err := Client(context.Background(), a, cc); err == nil {
		t.Fatal("an unknown authority is trusted")
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "certificate") && !strings.Contains(err.Error(), "authority") {
		t.Errorf("the server is not told why: %v", err)
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	_, b := pair(t)
	sc, _ := config(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := Server(ctx, b, sc); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestServerReadsWhatWasSniffed(t *testing.T) {
	a, b := pair(t)
	sc, cc := config(t)
	done := make(chan error, 1)
	go func() { _, err := Client(context.Background(), a, cc); a.Flush(); done <- err }()
	if err := b.Fill(); err != nil || b.Buffered()[0] != 0x16 {
		t.Fatal(err)
	}
	if _, err := Server(context.Background(), b, sc); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestExchangeAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops pooled buffers")
	}
	a, b := pair(t)
	go func() {
		for b.Fill() == nil {
			p := b.Buffered()
			b.Write(p)
			b.Discard(len(p))
		}
	}()
	msg := []byte(strings.Repeat("x", 500))
	n := testing.AllocsPerRun(500, func() {
		a.Write(msg)
		if err := a.FillReply(); err != nil {
			t.Fatal(err)
		}
		a.Discard(len(a.Buffered()))
		if !a.Alive() {
			t.Fatal("dead")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations an exchange", n)
	}
}

func BenchmarkExchange(b *testing.B) {
	for _, secure := range []bool{false, true} {
		b.Run(map[bool]string{false: "tcp", true: "tls"}[secure], func(b *testing.B) {
			x, y := pair(b)
			if secure {
				x, y = tlsPair(b, x, y)
			}
			go func() {
				for y.Fill() == nil {
					p := y.Buffered()
					y.Write(p)
					y.Discard(len(p))
				}
			}()
			msg := make([]byte, 500)
			b.ReportAllocs()
			for b.Loop() {
				x.Write(msg)
				if err := x.FillReply(); err != nil {
					b.Fatal(err)
				}
				x.Discard(len(x.Buffered()))
			}
		})
	}
}
