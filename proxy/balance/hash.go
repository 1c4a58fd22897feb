package balance

import (
	"encoding/binary"
	"math/bits"
)

// The primes of xxHash64 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). It is
// Envoy's hash: clients of both kinds find the same endpoint for the same key.
const (
	prime1 uint64 = 0x9E3779B185EBCA87
	prime2 uint64 = 0xC2B2AE3D27D4EB4F
	prime3 uint64 = 0x165667B19E3779F9
	prime4 uint64 = 0x85EBCA77C2B2AE63
	prime5 uint64 = 0x27D4EB2F165667C5
)

// Hash is xxHash64 of a key with seed 0.
func Hash(b []byte) uint64 { return hashSeed(b, 0) }

// HashString is Hash of a string.
func HashString(s string) uint64 {
	if len(s) <= 256 {
		var a [256]byte
		return hashSeed(a[:copy(a[:], s)], 0)
	}
	return hashSeed([]byte(s), 0)
}

// HashMore adds the hash of another part of a key (the way in which Envoy
// combines the entries of hash_policy).
func HashMore(h, next uint64) uint64 { return bits.RotateLeft64(h, 1) ^ next }

func hashSeed(b []byte, seed uint64) uint64 {
	n := uint64(len(b))
	var h uint64
	if len(b) >= 32 {
		v1, v2, v3, v4 := seed+prime1+prime2, seed+prime2, seed, seed-prime1
		for len(b) >= 32 {
			v1 = step(v1, binary.LittleEndian.Uint64(b))
			v2 = step(v2, binary.LittleEndian.Uint64(b[8:]))
			v3 = step(v3, binary.LittleEndian.Uint64(b[16:]))
			v4 = step(v4, binary.LittleEndian.Uint64(b[24:]))
			b = b[32:]
		}
		h = bits.RotateLeft64(v1, 1) + bits.RotateLeft64(v2, 7) + bits.RotateLeft64(v3, 12) + bits.RotateLeft64(v4, 18)
		for _, v := range [...]uint64{v1, v2, v3, v4} {
			h = (h^step(0, v))*prime1 + prime4
		}
	} else {
		h = seed + prime5
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h = bits.RotateLeft64(h^step(0, binary.LittleEndian.Uint64(b)), 27)*prime1 + prime4
	}
	if len(b) >= 4 {
		h = bits.RotateLeft64(h^uint64(binary.LittleEndian.Uint32(b))*prime1, 23)*prime2 + prime3
		b = b[4:]
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*prime5, 11) * prime1
	}
	return mix(h)
}

func step(acc, lane uint64) uint64 { return bits.RotateLeft64(acc+lane*prime2, 31) * prime1 }

// mix is the avalanche of xxHash64: each bit of h decides over all of the
// result.
func mix(h uint64) uint64 {
	h = (h ^ h>>33) * prime2
	h = (h ^ h>>29) * prime3
	return h ^ h>>32
}
