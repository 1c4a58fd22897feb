package conn

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

const patience = 10 * time.Second

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
