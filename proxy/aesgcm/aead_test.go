package aesgcm

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/weftmesh/weft/internal/seedtest"
)

// pair is our own AEAD and the standard library's with one key.
func pair(t testing.TB, key []byte) (ours, theirs cipher.AEAD) {
	t.Helper()
	if err := Fault(); err != nil && !errors.Is(err, ErrProcessor) {
		t.Fatal(err)
	}
	ours, err := New(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, own := ours.(*aead); own != (Fault() == nil) {
		t.Fatalf("New gave a %T where Fault is %v", ours, Fault())
	}
	if theirs, err = standard(key); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// margin surrounds what may be written, to see that nothing else is.
const margin = 80

// framed returns b inside a buffer that begins at an odd place, as it may lie in
// a record, with room bytes behind it.
func framed(b []byte, at, room int) (frame, inside []byte) {
	frame = bytes.Repeat([]byte{0xa5}, margin+at+len(b)+room+margin)
	inside = frame[margin+at : margin+at+len(b)]
	copy(inside, b)
	return frame, inside
}

func unframed(t testing.TB, frame []byte, at, n int) {
	t.Helper()
	for i, b := range frame {
		if (i < margin+at || i >= margin+at+n) && b != 0xa5 {
			t.Fatalf("byte %d beside the output was written", i-margin-at)
		}
	}
}

// agree seals and opens one message in every way, and breaks it.
func agree(t testing.TB, ours, theirs cipher.AEAD, nonce, text, data []byte, from, to int) {
	t.Helper()
	where := fmt.Sprintf("%d bytes, %d of additional data, from offset %d to %d", len(text), len(data), from, to)
	want := theirs.Seal(nil, nonce, text, data)
	_, data = framed(data, to, 0)

	// Apart.
	_, in := framed(text, from, 0)
	frame, out := framed(nil, to, len(want))
	if got := ours.Seal(out, nonce, in, data); !bytes.Equal(got, want) || &got[0] != &frame[margin+to] {
		t.Fatalf("%s: sealed to %x, want %x", where, got, want)
	}
	unframed(t, frame, to, len(want))
	if !bytes.Equal(in, text) {
		t.Fatalf("%s: sealing changed its input", where)
	}
	_, in = framed(want, from, 0)
	frame, out = framed(nil, to, len(text))
	if got, err := ours.Open(out, nonce, in, data); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%s: opened to %x, %v; want %x", where, got, err, text)
	}
	unframed(t, frame, to, len(text))

	// Where it lies.
	frame, in = framed(text, from, 16)
	if got := ours.Seal(in[:0], nonce, in, data); !bytes.Equal(got, want) {
		t.Fatalf("%s: sealed in place to %x, want %x", where, got, want)
	}
	unframed(t, frame, from, len(want))
	frame, in = framed(want, from, 0)
	if got, err := ours.Open(in[:0], nonce, in, data); err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%s: opened in place to %x, %v; want %x", where, got, err, text)
	}
	unframed(t, frame, from, len(want))

	// Broken: the output holds nothing then.
	_, in = framed(want, from, 0)
	in[(from*67+to)%len(in)] ^= 1 << (from % 8)
	frame, out = framed(nil, to, len(text))
	if got, err := ours.Open(out, nonce, in, data); err == nil || got != nil {
		t.Fatalf("%s: a broken one was opened", where)
	}
	unframed(t, frame, to, len(text))
	if left := frame[margin+to : margin+to+len(text)]; !bytes.Equal(left, make([]byte, len(text))) {
		t.Fatalf("%s: a broken one left %x", where, left)
	}
}

func draw(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	r.Read(b)
	return b
}

func TestEveryLength(t *testing.T) {
	r := seedtest.Rand(t)
	for _, size := range []int{16, 32} {
		ours, theirs := pair(t, draw(r, size))
		lengths := []int{8191, 8192, 8193, 1<<14 - 1, 1 << 14, 1<<14 + 1, 1<<14 + 256, 20 << 10, 1<<20 + 333}
		for n := range 4201 {
			lengths = append(lengths, n)
		}
		for _, n := range lengths {
			agree(t, ours, theirs, draw(r, 12), draw(r, n), draw(r, r.Intn(65)), r.Intn(64), r.Intn(64))
		}
	}
}

func TestEveryLengthOfAdditionalData(t *testing.T) {
	r := seedtest.Rand(t)
	for _, size := range []int{16, 32} {
		ours, theirs := pair(t, draw(r, size))
		lengths := []int{65, 79, 80, 81, 127, 128, 129, 255, 256, 257, 1000, 5001}
		for m := range 65 {
			lengths = append(lengths, m)
		}
		for _, m := range lengths {
			for _, n := range []int{0, 1, 15, 16, 17, 63, 64, 65, 239, 240, 241, 255, 256, 257, 511, 512, 513, 1300} {
				agree(t, ours, theirs, draw(r, 12), draw(r, n), draw(r, m), r.Intn(64), r.Intn(64))
			}
		}
	}
}

// What a power of the hash key looks like decides on carries and reductions.
func TestManyKeys(t *testing.T) {
	r := seedtest.Rand(t)
	for range 200 {
		for _, size := range []int{16, 32} {
			ours, theirs := pair(t, draw(r, size))
			for _, n := range []int{5, 100, 255, 600, 1537} {
				agree(t, ours, theirs, draw(r, 12), draw(r, n), draw(r, r.Intn(100)), r.Intn(64), r.Intn(64))
			}
		}
	}
}

func TestEveryBitIsAuthentic(t *testing.T) {
	r := seedtest.Rand(t)
	for _, size := range []int{16, 32} {
		ours, _ := pair(t, draw(r, size))
		for _, n := range []int{0, 1, 40, 64, 250, 256, 531} {
			nonce, text, data := draw(r, 12), draw(r, n), draw(r, 21)
			sealed := ours.Seal(nil, nonce, text, data)
			out := make([]byte, 0, n)
			for name, part := range map[string][]byte{"record": sealed, "nonce": nonce, "additional data": data} {
				for i := range part {
					for bit := range 8 {
						part[i] ^= 1 << bit
						if got, err := ours.Open(out, nonce, sealed, data); err == nil || got != nil {
							t.Fatalf("%d bytes: bit %d of byte %d of the %s says nothing", n, bit, i, name)
						}
						part[i] ^= 1 << bit
					}
				}
			}
			if _, err := ours.Open(out, nonce, sealed, data); err != nil {
				t.Fatal(err)
			}
			for i := range sealed {
				if _, err := ours.Open(out, nonce, sealed[:i], data); err == nil {
					t.Fatalf("%d bytes: %d of %d were enough", n, i, len(sealed))
				}
			}
			if _, err := ours.Open(out, nonce, sealed, data[:20]); err == nil {
				t.Fatalf("%d bytes: less additional data was enough", n)
			}
		}
	}
}

func TestOneKeyForMany(t *testing.T) {
	r := seedtest.Rand(t)
	ours, theirs := pair(t, draw(r, 16))
	var wg sync.WaitGroup
	for range 8 {
		nonce, text, data := draw(r, 12), draw(r, 3000), draw(r, 5)
		want := theirs.Seal(nil, nonce, text, data)
		wg.Go(func() {
			for range 300 {
				got := ours.Seal(nil, nonce, text, data)
				back, err := ours.Open(nil, nonce, got, data)
				if !bytes.Equal(got, want) || err != nil || !bytes.Equal(back, text) {
					t.Error("another goroutine's message came out")
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestNothingIsAllocated(t *testing.T) {
	ours, _ := pair(t, make([]byte, 16))
	nonce, text, data := make([]byte, 12), make([]byte, 1000), make([]byte, 5)
	out := make([]byte, 0, 1016)
	sealed := ours.Seal(nil, nonce, text, data)
	n := testing.AllocsPerRun(100, func() {
		ours.Seal(out, nonce, text, data)
		if _, err := ours.Open(out, nonce, sealed, data); err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations to seal and open a record", n)
	}
}

// What callers may not do panics as it does with crypto/cipher, and what they
// may do is no worse.
func TestCallers(t *testing.T) {
	ours, theirs := pair(t, make([]byte, 32))
	b := make([]byte, 400)
	nonce := make([]byte, 12)
	sealed := ours.Seal(nil, nonce, b[:100], nil)
	for name, call := range map[string]func(cipher.AEAD){
		"short nonce to seal":              func(a cipher.AEAD) { a.Seal(nil, nonce[:11], b[:9], nil) },
		"long nonce to open":               func(a cipher.AEAD) { _, _ = a.Open(nil, b[:13], sealed, nil) },
		"output one byte behind input":     func(a cipher.AEAD) { a.Seal(b[1:1], nonce, b[:100], nil) },
		"output one byte before input":     func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[1:100], nil) },
		"output over the end of input":     func(a cipher.AEAD) { a.Seal(b[99:99], nonce, b[:100], nil) },
		"tag over input":                   func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[115:131], nil) },
		"output over additional data":      func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[200:300], b[110:120]) },
		"opened over additional data":      func(a cipher.AEAD) { _, _ = a.Open(b[:0], nonce, sealed, b[90:300]) },
		"opened one byte behind":           func(a cipher.AEAD) { _, _ = a.Open(b[1:1], nonce, b[:100], nil) },
		"in place":                         func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[:100], b[116:121]) },
		"side by side":                     func(a cipher.AEAD) { a.Seal(b[:0], nonce, b[116:216], b[216:]) },
		"behind a head":                    func(a cipher.AEAD) { a.Seal(b[:5], nonce, b[5:105], b[:5]) },
		"nothing in nothing":               func(a cipher.AEAD) { a.Seal(nil, nonce, nil, nil) },
		"no room":                          func(a cipher.AEAD) { a.Seal(b[:3:20], nonce, b[3:13], nil) },
		"additional data inside the input": func(a cipher.AEAD) { a.Seal(nil, nonce, b[:100], b[:100]) },
	} {
		if did, want := panics(ours, call), panics(theirs, call); did != want {
			t.Errorf("%s: panics %v; crypto/cipher %v", name, did, want)
		}
	}
	if got, want := ours.Seal(b[:7:7], nonce, sealed, b), theirs.Seal(b[:7:7], nonce, sealed, b); !bytes.Equal(got, want) {
		t.Errorf("with a prefix: %x, want %x", got, want)
	}
	for _, n := range []int{0, 15, 17, 24, 31, 33} {
		if _, err := New(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
	if ours.NonceSize() != 12 || ours.Overhead() != 16 {
		t.Errorf("nonces of %d bytes, overhead of %d", ours.NonceSize(), ours.Overhead())
	}
}

func panics(a cipher.AEAD, call func(cipher.AEAD)) (did bool) {
	defer func() { did = recover() != nil }()
	call(a)
	return false
}

func FuzzAgainstStandard(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), []byte("nonce of 12."), []byte("text"), []byte("\x17\x03\x03\x00\x15"), uint8(0), uint8(0), uint16(1))
	f.Add([]byte("0123456789abcdef0123456789abcdef"), []byte("nonce of 12."), []byte("text"), []byte{}, uint8(3), uint8(61), uint16(300))
	f.Add([]byte{}, []byte{}, []byte{}, bytes.Repeat([]byte{1}, 70), uint8(9), uint8(1), uint16(0))
	f.Fuzz(func(t *testing.T, key, nonce, text, data []byte, from, to uint8, times uint16) {
		size := 16
		if len(key) >= 32 {
			size = 32
		}
		key = append(make([]byte, 0, size), key[:min(len(key), size)]...)[:size]
		nonce = append(make([]byte, 0, 12), nonce[:min(len(nonce), 12)]...)[:12]
		if text = bytes.Repeat(text, int(times)%512); len(text) > 1<<17 {
			text = text[:1<<17]
		}
		ours, theirs := pair(t, key)
		agree(t, ours, theirs, nonce, text, data, int(from)%64, int(to)%64)
	})
}
