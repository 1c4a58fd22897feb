package aesgcm

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// The test cases with nonces of 96 bits and keys of 128 and 256 bits from
// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B.
func TestVectors(t *testing.T) {
	const (
		zeros = "00000000000000000000000000000000"
		k     = "feffe9928665731c6d6a8f9467308308"
		iv    = "cafebabefacedbaddecaf888"
		p     = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
		a     = "feedfacedeadbeeffeedfacedeadbeefabaddad2"
		c128  = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
		c256  = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
	)
	for name, c := range map[string]struct{ key, iv, text, data, want, tag string }{
		"1":  {zeros, zeros[:24], "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
		"2":  {zeros, zeros[:24], zeros, "", "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"},
		"3":  {k, iv, p, "", c128, "4d5c2af327cd64a62cf35abd2ba6fab4"},
		"4":  {k, iv, p[:120], a, c128[:120], "5bc94fbc3221a5db94fae95ae7121a47"},
		"13": {zeros + zeros, zeros[:24], "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
		"14": {zeros + zeros, zeros[:24], zeros, "", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
		"15": {k + k, iv, p, "", c256, "b094dac5d93471bdec1a502270e3cc6c"},
		"16": {k + k, iv, p[:120], a, c256[:120], "76fc6ece0f4e1768cddf8853bb2d551b"},
	} {
		ours, theirs := pair(t, unhex(t, c.key))
		text, want := unhex(t, c.text), unhex(t, c.want+c.tag)
		got := ours.Seal(nil, unhex(t, c.iv), text, unhex(t, c.data))
		if !bytes.Equal(got, want) {
			t.Errorf("case %s: sealed to %x, want %x", name, got, want)
		}
		agree(t, ours, theirs, unhex(t, c.iv), text, unhex(t, c.data), 0, 0)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
