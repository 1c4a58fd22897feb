//go:build amd64 && !purego

package aesgcm

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// schedule is a key as the assembly wants it. It holds no pointers, so that the
// allocator starts it on a cache line, and the vectors that are loaded in the
// loops lie on one each.
type schedule struct {
	keys   [16][16]byte // of the rounds; the last one is always the 15th
	wide   [4][64]byte  // H^16, H^12, H^8 and H^4, four times each
	powers [23][16]byte // from the third: H^18 to H^1, then zeros that are loaded with short tails
	rounds uint32       // 10 or 14
	_      [12]byte
}

// The offsets are in the assembly.
const (
	_ = -unsafe.Offsetof(schedule{}.keys)
	_ = -(unsafe.Offsetof(schedule{}.wide) ^ 256)
	_ = -(unsafe.Offsetof(schedule{}.powers) ^ 512)
	_ = -(unsafe.Offsetof(schedule{}.rounds) ^ 880)
	_ = -(unsafe.Sizeof(schedule{}) ^ 896)
)

// crypt enciphers n bytes from src to dst, or deciphers them where seal is
// false, and puts the tag that belongs to them into tag. src and dst are the
// same or do not overlap.
//
//go:noescape
func crypt(s *schedule, nonce *byte, dst, src *byte, n int, data *byte, dataLen int, tag *[16]byte, seal bool)

// expand fills s in from a key of 16 bytes (s.rounds is 10) or 32 (14).
//
//go:noescape
func expand(s *schedule, key *byte)

// capable says whether processor and system know every instruction and register
// that is used. GODEBUG=cpu.avx512bw=off says no.
func capable() bool {
	x := &cpu.X86
	return x.HasAES && x.HasPCLMULQDQ && x.HasBMI2 && x.HasAVX2 &&
		x.HasAVX512F && x.HasAVX512VL && x.HasAVX512BW && x.HasAVX512DQ &&
		x.HasAVX512VAES && x.HasAVX512VPCLMULQDQ
}
