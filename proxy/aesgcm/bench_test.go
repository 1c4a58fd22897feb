package aesgcm

import (
	"crypto/cipher"
	"fmt"
	"testing"
)

// Records of the hop, in place as they are opened and sealed there.
func BenchmarkAESGCM(b *testing.B) {
	for _, bits := range []int{128, 256} {
		key := make([]byte, bits/8)
		std, err := standard(key)
		if err != nil {
			b.Fatal(err)
		}
		aeads := []cipher.AEAD{std}
		if Fault() == nil {
			aeads = append(aeads, wide(key))
		}
		for _, n := range []int{16, 64, 256, 1 << 10, 4 << 10, 16 << 10} {
			for i, a := range aeads {
				name := fmt.Sprintf("AES-%d/%d/%s", bits, n, []string{"standard", "own"}[i])
				nonce, data := make([]byte, 12), make([]byte, 5)
				text := make([]byte, n, n+16)
				sealed := a.Seal(nil, nonce, text, data)
				out := make([]byte, 0, n+16)
				b.Run("seal/"+name, func(b *testing.B) {
					b.SetBytes(int64(n))
					for b.Loop() {
						a.Seal(out, nonce, text, data)
					}
				})
				b.Run("open/"+name, func(b *testing.B) {
					b.SetBytes(int64(n))
					for b.Loop() {
						if _, err := a.Open(out, nonce, sealed, data); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	key := make([]byte, 16)
	for name, f := range map[string]func([]byte) (cipher.AEAD, error){"standard": standard, "own": New} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := f(key); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheck(b *testing.B) {
	if err := Fault(); err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := compare(func(key []byte) cipher.AEAD { return wide(key) }); err != nil {
			b.Fatal(err)
		}
	}
}
