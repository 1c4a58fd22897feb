package aesgcm

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"fmt"
	"sync"
)

// ErrProcessor means that the processor or the system lacks what the fast code
// needs, or that it was built without.
var ErrProcessor = errors.New("aesgcm: no VAES and VPCLMULQDQ with vectors of 512 bits here")

// fault is found out once, before the first key.
var fault = sync.OnceValue(func() error {
	if !capable() {
		return ErrProcessor
	}
	return compare(func(key []byte) cipher.AEAD { return wide(key) })
})

// compare tries fast against crypto/cipher on every path through the assembly:
// without data, a short tail, whole tails, one turn of 256 bytes and several,
// with additional data of none, one, and several blocks.
func compare(fast func(key []byte) cipher.AEAD) error {
	text := make([]byte, 1103)
	for i := range text {
		text[i] = byte(i*i + i>>3)
	}
	scratch := make([]byte, 2*(len(text)+tagSize))
	for _, size := range []int{16, 32} {
		ours, key := fast(text[7:7+size]), text[7:7+size]
		theirs, err := standard(key)
		if err != nil {
			return err
		}
		for _, n := range []int{0, 1, 16, 31, 64, 77, 255, 256, 300, 512, 768, 1007, len(text)} {
			for _, m := range []int{0, 5, 16, 90} {
				if err := compareOne(ours, theirs, text[:n], text[n/2:n/2+nonceSize], text[len(text)-m:], scratch); err != nil {
					return fmt.Errorf("aesgcm: AES-%d, %d bytes, %d of additional data: %w", size*8, n, m, err)
				}
			}
		}
	}
	return nil
}

var (
	errSealed   = errors.New("sealed otherwise than by crypto/cipher")
	errRejected = errors.New("refused what crypto/cipher sealed")
	errAccepted = errors.New("accepted what nobody sealed")
)

// compareOne compares one message; scratch has room for two that are sealed.
func compareOne(ours, theirs cipher.AEAD, text, nonce, data, scratch []byte) error {
	want := theirs.Seal(scratch[:0], nonce, text, data)
	room := scratch[len(want):len(want)]
	if !bytes.Equal(ours.Seal(room, nonce, text, data), want) {
		return errSealed
	}
	got, err := ours.Open(room, nonce, want, data)
	if err != nil || !bytes.Equal(got, text) {
		return errRejected
	}
	for _, i := range []int{0, len(want) / 2, len(want) - 1} {
		want[i] ^= 0x10
		if _, err := ours.Open(room, nonce, want, data); err == nil {
			return errAccepted
		}
		want[i] ^= 0x10
	}
	return nil
}
