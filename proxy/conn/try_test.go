package conn

import (
	"io"
	"testing"
	"time"
)

// TryFlush sends what the system takes, never waits, and leaves the rest to
// Flush, in order.
func TestTryFlush(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		piece := make([]byte, 8<<10)
		sent, full := 0, false
		for i := 0; i < 10000 && !full; i++ {
			for j := range piece {
				piece[j] = byte(sent + j)
			}
			if _, err := a.Write(piece); err != nil {
				t.Fatal(err)
			}
			sent += len(piece)
			done, err := a.TryFlush()
			if err != nil {
				t.Fatal(err)
			}
			full = !done
		}
		if !full {
			t.Fatal("the socket takes everything")
		}
		flushed := make(chan error, 1)
		go func() { flushed <- a.Flush() }()
		_ = b.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, sent)
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		for i, x := range got {
			if x != byte(i) {
				t.Fatalf("byte %d is %d", i, x)
			}
		}
		if err := <-flushed; err != nil {
			t.Fatal(err)
		}
		if done, err := a.TryFlush(); !done || err != nil {
			t.Errorf("with nothing to send: %v %v", done, err)
		}
		_ = a.Close()
		if _, err := a.TryFlush(); err == nil {
			t.Error("a closed connection flushes")
		}
	})
}
