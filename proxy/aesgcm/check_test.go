package aesgcm

import (
	"crypto/cipher"
	"errors"
	"testing"
)

// wrong is an AEAD that errs now and then.
type wrong struct {
	cipher.AEAD
	sealed func(text, out []byte)
	accept func(ciphertext []byte) bool
	opened func(out []byte) ([]byte, error)
}

func (w wrong) Seal(dst, nonce, text, data []byte) []byte {
	out := w.AEAD.Seal(dst, nonce, text, data)
	if w.sealed != nil {
		w.sealed(text, out)
	}
	return out
}

func (w wrong) Open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	out, err := w.AEAD.Open(dst, nonce, ciphertext, data)
	if err != nil && w.accept != nil && w.accept(ciphertext) {
		return nil, nil
	}
	if err == nil && w.opened != nil {
		return w.opened(out)
	}
	return out, err
}

func TestDisagreementIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		with wrong
		want error
	}{
		"nothing":  {wrong{}, nil},
		"a tag":    {wrong{sealed: func(text, out []byte) { out[len(text)+15] ^= byte(len(text) >> 10) }}, errSealed},
		"a block":  {wrong{sealed: func(text, out []byte) { out[len(text)/2] ^= byte(len(text) >> 8 & 1) }}, errSealed},
		"refused":  {wrong{opened: func([]byte) ([]byte, error) { return nil, errOpen }}, errRejected},
		"mangled":  {wrong{opened: func(out []byte) ([]byte, error) { return out[:len(out)/2], nil }}, errRejected},
		"accepted": {wrong{accept: func(b []byte) bool { return len(b) == 317-1 }}, errAccepted},
	} {
		err := compare(func(key []byte) cipher.AEAD {
			a, err := standard(key)
			if err != nil {
				t.Fatal(err)
			}
			c.with.AEAD = a
			return c.with
		})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAfterDisagreement(t *testing.T) {
	was := fault
	defer func() { fault = was }()
	fault = func() error { return errSealed }
	a, err := New(make([]byte, 16))
	if _, own := a.(*aead); own || err != nil {
		t.Errorf("New gave a %T, %v", a, err)
	}
	if !errors.Is(Fault(), errSealed) {
		t.Errorf("Fault says %v", Fault())
	}
}
