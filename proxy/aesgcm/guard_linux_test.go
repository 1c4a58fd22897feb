package aesgcm

import (
	"bytes"
	"syscall"
	"testing"

	"github.com/weftmesh/weft/internal/seedtest"
)

const page = 4096

// guarded is n pages between two that may be neither read nor written.
func guarded(t *testing.T, n int) []byte {
	t.Helper()
	b, err := syscall.Mmap(-1, 0, (n+2)*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Munmap(b); err != nil {
			t.Error(err)
		}
	})
	for _, p := range [][]byte{b[:page], b[(n+1)*page:]} {
		if err := syscall.Mprotect(p, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return b[page : (n+1)*page]
}

// put copies b to the very end of a guarded region, or to its beginning.
func put(region, b []byte, end bool) []byte {
	at := region[:len(b):len(b)]
	if end {
		at = region[len(region)-len(b):]
	}
	copy(at, b)
	return at
}

// Every buffer in turn ends where memory ends, or begins where it begins: one
// byte too many is a fault of the process.
func TestNothingBesideTheBuffersIsTouched(t *testing.T) {
	r := seedtest.Rand(t)
	regions := make([][]byte, 5)
	for i := range regions {
		regions[i] = guarded(t, 2)
	}
	lengths := []int{1023, 1024, 1025, 4096, 5000, 8000}
	for n := range 600 {
		lengths = append(lengths, n)
	}
	for _, size := range []int{16, 32} {
		for _, end := range []bool{true, false} {
			key := put(regions[0], draw(r, size), end)
			ours, theirs := pair(t, key)
			for _, n := range lengths {
				text, plain := draw(r, n), draw(r, r.Intn(100))
				nonce, data := put(regions[1], draw(r, 12), end), put(regions[2], plain, end)
				want := theirs.Seal(nil, nonce, text, data)

				in := put(regions[3], text, end)
				out := put(regions[4], make([]byte, n+tagSize), end)
				if got := ours.Seal(out[:0], nonce, in, data); !bytes.Equal(got, want) {
					t.Fatalf("%d bytes: sealed to %x, want %x", n, got, want)
				}
				in = put(regions[3], want, end)
				out = put(regions[4], text, end)
				clear(out)
				if got, err := ours.Open(out[:0], nonce, in, data); err != nil || !bytes.Equal(got, text) {
					t.Fatalf("%d bytes: opened to %x, %v; want %x", n, got, err, text)
				}
				if got, err := ours.Open(in[:0], nonce, in, data); err != nil || !bytes.Equal(got, text) {
					t.Fatalf("%d bytes: opened in place to %x, %v; want %x", n, got, err, text)
				}
			}
		}
	}
}
