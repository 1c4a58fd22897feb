package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"unsafe"
)

const (
	nonceSize = 12
	tagSize   = 16
	// maxData is how much one nonce may protect (SP 800-38D section 5.2.1.1).
	maxData = (1<<32 - 2) * 16
)

var errOpen = errors.New("aesgcm: message authentication failed")

// New returns AES-GCM with nonces of 12 bytes and tags of 16, for a key of 16 or
// 32 bytes; every other length is an error. What it returns is crypto/cipher's
// wherever Fault gives a reason.
func New(key []byte) (cipher.AEAD, error) {
	if fault() != nil || len(key) != 16 && len(key) != 32 {
		return standard(key)
	}
	return wide(key), nil
}

// Fault says why New returns the AES-GCM of crypto/cipher: ErrProcessor, or that
// the two disagreed when they were compared. It is nil if New returns our own.
func Fault() error { return fault() }

func standard(key []byte) (cipher.AEAD, error) {
	if len(key) != 16 && len(key) != 32 {
		return nil, aes.KeySizeError(len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// aead implements cipher.AEAD.
type aead struct{ schedule *schedule }

func wide(key []byte) *aead {
	s := &schedule{rounds: uint32(len(key)/4 + 6)}
	expand(s, &key[0])
	return &aead{s}
}

func (*aead) NonceSize() int { return nonceSize }

func (*aead) Overhead() int { return tagSize }

func (a *aead) Seal(dst, nonce, plaintext, data []byte) []byte {
	if len(nonce) != nonceSize {
		panic("aesgcm: nonce of a wrong length")
	}
	if uint64(len(plaintext)) > maxData {
		panic("aesgcm: message too large")
	}
	n := len(plaintext)
	whole, out := grow(dst, n+tagSize)
	refuse(out, plaintext, data)
	crypt(a.schedule, &nonce[0], &out[0], unsafe.SliceData(plaintext), n,
		unsafe.SliceData(data), len(data), (*[tagSize]byte)(out[n:]), true)
	return whole
}

func (a *aead) Open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	if len(nonce) != nonceSize {
		panic("aesgcm: nonce of a wrong length")
	}
	n := len(ciphertext) - tagSize
	if n < 0 || uint64(n) > maxData {
		return nil, errOpen
	}
	whole, out := grow(dst, n)
	refuse(out, ciphertext, data)
	var tag [tagSize]byte
	crypt(a.schedule, &nonce[0], unsafe.SliceData(out), &ciphertext[0], n,
		unsafe.SliceData(data), len(data), &tag, false)
	if subtle.ConstantTimeCompare(tag[:], ciphertext[n:]) != 1 {
		clear(out) // nobody sees what was not authentic
		return nil, errOpen
	}
	return whole, nil
}

// grow returns b with n bytes more, and those bytes.
func grow(b []byte, n int) (whole, more []byte) {
	if len(b)+n <= cap(b) {
		whole = b[:len(b)+n]
	} else {
		whole = append(make([]byte, 0, len(b)+n), b...)[:len(b)+n]
	}
	return whole, whole[len(b):]
}

// refuse panics on the overlaps that cipher.AEAD does not permit: the input may
// begin where the output begins, or lie apart.
func refuse(out, in, data []byte) {
	if overlap(out, in) && &out[0] != &in[0] || overlap(out, data) {
		panic("aesgcm: invalid overlap of buffers")
	}
}

func overlap(a, b []byte) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	x, y := uintptr(unsafe.Pointer(&a[0])), uintptr(unsafe.Pointer(&b[0]))
	return x < y+uintptr(len(b)) && y < x+uintptr(len(a))
}
