package conn

import (
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
)

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
	waittest.Until(t, "the answer", a.Readable)
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
			waittest.Until(t, fmt.Sprintf("secure %v: %s", secure, what), f)
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
