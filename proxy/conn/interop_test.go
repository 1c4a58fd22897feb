package conn

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/freeport"
)

// Both ends with records of their own, or of crypto/tls, in every suite.
func TestRecordsOfEachKind(t *testing.T) {
	for _, suite := range []uint16{tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384} {
		if _, err := suiteOf(suite); err != nil {
			t.Error(err)
		}
	}
	if _, err := suiteOf(tls.TLS_CHACHA20_POLY1305_SHA256); err == nil {
		t.Error("a suite without an implementation")
	}
	for _, both := range []bool{true, false} {
		a, b := pair(t)
		c, s := mixedPair(t, a, b, both)
		if c.own == nil || both != (s.own != nil) {
			t.Fatal("the records are not whose they should be")
		}
		for i, from := range []*Conn{c, s} {
			to := []*Conn{s, c}[i]
			want := make([]byte, 2<<20)
			rand.Read(want)
			go func() {
				from.Write(want)
				from.Flush()
			}()
			if got := readAll(t, to, len(want)); !bytes.Equal(got, want) {
				t.Fatal("bytes differ")
			}
		}
	}
}

func TestTheSwitch(t *testing.T) {
	OwnRecords(false)
	defer OwnRecords(true)
	a, b := pair(t)
	c, s := tlsPair(t, a, b)
	if c.own != nil || s.own != nil || c.tls == nil {
		t.Fatal("crypto/tls does not keep the records")
	}
	c.Write([]byte("x"))
	c.Flush()
	readAll(t, s, 1)
}

func TestTLS12IsLeftToCryptoTLS(t *testing.T) {
	a, b := pair(t)
	sc, cc := config(t)
	sc.MaxVersion = tls.VersionTLS12
	done := make(chan *Conn, 1)
	go func() {
		s, err := Server(context.Background(), b, sc)
		if err == nil {
			s.Flush()
		}
		done <- s
	}()
	c, err := Client(t.Context(), a, cc)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("hello"))
	c.Flush()
	if got := readAll(t, <-done, 5); string(got) != "hello" {
		t.Error(got)
	}
}

// Sessions are resumed although crypto/tls no longer sees the connection.
func TestTicketsReachCryptoTLS(t *testing.T) {
	sc, cc := config(t)
	sc.SetSessionTicketKeys([][32]byte{{1}})
	for i := range 4 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if i > 0 {
			ln, err = net.Listen("tcp", listenAgain)
		}
		if err != nil {
			t.Fatal(err)
		}
		listenAgain = ln.Addr().String()
		done := make(chan *Conn, 1)
		go func() {
			nc, err := ln.Accept()
			if err != nil {
				done <- nil
				return
			}
			s, err := Server(context.Background(), New(nc), sc)
			if err == nil {
				s.Write([]byte("hi"))
				s.Flush()
			}
			done <- s
		}()
		nc, err := net.Dial("tcp", listenAgain)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Client(t.Context(), New(nc), cc)
		if err != nil {
			t.Fatal(err)
		}
		readAll(t, c, 2)
		s := <-done
		if c.TLS().DidResume != (i > 0) || s.TLS().DidResume != (i > 0) {
			t.Errorf("connection %d: resumed %v %v", i, c.TLS().DidResume, s.TLS().DidResume)
		}
		if c.own.tickets != nil {
			t.Error("crypto/tls is kept")
		}
		if len(c.TLS().PeerCertificates) == 0 {
			t.Error("who the peer is was lost")
		}
		c.Close()
		s.Close()
		ln.Close()
	}
}

var listenAgain string

// files writes the server's certificate for openssl.
func files(t *testing.T, sc *tls.Config) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(t.TempDir(), "c.pem"), filepath.Join(t.TempDir(), "k.pem")
	der, err := x509.MarshalPKCS8PrivateKey(sc.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: sc.Certificates[0].Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func openssl(t *testing.T, args ...string) (stdin io.WriteCloser, stderr *bufio.Scanner) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, args...)
	stdin, err = cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	tell, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); cmd.Wait() })
	return stdin, bufio.NewScanner(tell)
}

// openssl's client asks for new keys ("K") between its lines.
func TestOpenSSLClient(t *testing.T) {
	for _, suite := range []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"} {
		sc, _ := config(t)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		in, told := openssl(t, "s_client", "-connect", ln.Addr().String(), "-ciphersuites", suite, "-servername", "x", "-alpn", "p", "-tls1_3")
		ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
		nc, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		nc.SetReadDeadline(time.Now().Add(patience))
		s, err := Server(t.Context(), New(nc), sc)
		if err != nil {
			t.Fatal(err)
		}
		if (s.own == nil) != strings.Contains(suite, "CHACHA") {
			t.Errorf("%s: own records %v", suite, s.own != nil)
		}
		s.Write([]byte("first\n"))
		s.Flush()
		for range 3 {
			io.WriteString(in, "hello\n")
			if got := readAll(t, s, 6); string(got) != "hello\n" {
				t.Fatalf("%q", got)
			}
			for _, command := range []string{"K\n", "k\n"} {
				// A command is one only where it is read alone.
				io.WriteString(in, command)
				for told.Scan() && !strings.Contains(told.Text(), "KEYUPDATE") {
				}
			}
			io.WriteString(in, "again\n")
			if got := readAll(t, s, 6); string(got) != "again\n" {
				t.Fatalf("%q", got)
			}
			s.Write([]byte("with new keys\n"))
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		in.Close() // "end of input" makes it close
		if err := s.Fill(); err != io.EOF {
			t.Errorf("%s: %v", suite, err)
		}
		s.Close()
	}
}

// openssl's server sends two tickets and answers each line reversed.
func TestOpenSSLServer(t *testing.T) {
	sc, cc := config(t)
	cert, key := files(t, sc)
	port, err := new(freeport.Ports).Next()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	openssl(t, "s_server", "-accept", addr, "-cert", cert, "-key", key, "-rev", "-alpn", "p", "-tls1_3", "-quiet")
	for i := range 3 {
		var nc net.Conn
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			if nc, err = net.Dial("tcp", addr); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
		nc.SetReadDeadline(time.Now().Add(patience))
		c, err := Client(t.Context(), New(nc), cc)
		if err != nil {
			t.Fatal(err)
		}
		if c.own == nil {
			t.Fatal("crypto/tls keeps the records")
		}
		c.own.out.limit = 2 // and our keys change all the time
		for range 5 {
			c.Write([]byte("abc\n"))
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, c, 4); string(got) != "cba\n" {
				t.Fatalf("%q", got)
			}
		}
		if c.TLS().DidResume != (i > 0) {
			t.Errorf("connection %d: resumed %v", i, c.TLS().DidResume)
		}
		c.Close()
	}
}
