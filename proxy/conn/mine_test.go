package conn

import (
	"bytes"
	"io"
	"testing"
)

// Memory that is lent to WriteMine arrives whole, and is given back as it was.
func TestWriteMine(t *testing.T) {
	kinds(t, func(t *testing.T, a, b *Conn) {
		a.SetDuplex()
		var want []byte
		for i, n := range []int{1, 100, record, record + 1, 5*record + 7, 20 * record} {
			p := bytes.Repeat([]byte{byte('a' + i)}, n+1)
			p[n] = '!'
			want = append(want, p[:n]...)
			done := make(chan error, 1)
			go func() {
				_, err := a.WriteMine(p[:n])
				if err == nil {
					err = a.Flush()
				}
				done <- err
			}()
			got := make([]byte, n)
			if _, err := io.ReadFull(b, got); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want[len(want)-n:]) {
				t.Errorf("%d bytes arrive changed", n)
			}
			if p[n] != '!' || !bytes.Equal(p[:n], got) {
				t.Errorf("%d bytes: the caller's memory was changed", n)
			}
		}
	})
}
