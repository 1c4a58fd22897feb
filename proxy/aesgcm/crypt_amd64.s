//go:build !purego

#include "textflag.h"

// A block is hashed with its bytes reversed, so that the coefficient of x^0 of
// SP 800-38D is bit 127. In that order a carry-less product of two blocks lacks
// one shift to the left; the powers of H are stored shifted (and reduced), and
// the products come out right.

// reverse turns the 16 bytes of a block round.
DATA ·reverse+0(SB)/8, $0x08090a0b0c0d0e0f
DATA ·reverse+8(SB)/8, $0x0001020304050607
GLOBL ·reverse(SB), RODATA|NOPTR, $16

// The counters of the first four blocks of data, less that of the tag's block.
DATA first<>+0(SB)/8, $1
DATA first<>+8(SB)/8, $0
DATA first<>+16(SB)/8, $2
DATA first<>+24(SB)/8, $0
DATA first<>+32(SB)/8, $3
DATA first<>+40(SB)/8, $0
DATA first<>+48(SB)/8, $4
DATA first<>+56(SB)/8, $0
GLOBL first<>(SB), RODATA|NOPTR, $64

DATA four<>+0(SB)/8, $4
DATA four<>+8(SB)/8, $0
DATA four<>+16(SB)/8, $4
DATA four<>+24(SB)/8, $0
DATA four<>+32(SB)/8, $4
DATA four<>+40(SB)/8, $0
DATA four<>+48(SB)/8, $4
DATA four<>+56(SB)/8, $0
GLOBL four<>(SB), RODATA|NOPTR, $64

// fold is x^7 + x^2 + x + 1 where it moves 64 bits up by 64: bits 57, 62, 63.
DATA ·fold+0(SB)/8, $0xc200000000000000
DATA ·fold+8(SB)/8, $0
DATA ·fold+16(SB)/8, $0xc200000000000000
DATA ·fold+24(SB)/8, $0
DATA ·fold+32(SB)/8, $0xc200000000000000
DATA ·fold+40(SB)/8, $0
DATA ·fold+48(SB)/8, $0xc200000000000000
DATA ·fold+56(SB)/8, $0
GLOBL ·fold(SB), RODATA|NOPTR, $64

// Where things lie in a schedule.
#define WIDE 256
#define NARROW 576
#define POWER1 816
#define LASTKEY 224
#define ROUNDS 880

// What the registers of crypt hold throughout.
#define LO Z8       // products, still to be reduced
#define MID Z9
#define HI Z10
#define HASH Z12    // GHASH so far, to be added to the next four blocks
#define TAGMASK X14 // the cipher of the counter 1
#define COUNTER Z15 // of the next four blocks, reversed
#define KEY0 Z16    // the keys of rounds 1 to 13 are Z17 to Z29
#define KEYN Z30
#define REVERSE Z31

// ROUND is one round of AES for 16 blocks.
#define ROUND(key) \
	VAESENC key, Z0, Z0; \
	VAESENC key, Z1, Z1; \
	VAESENC key, Z2, Z2; \
	VAESENC key, Z3, Z3

// COUNT makes the next 16 blocks of counter and adds the first key.
#define COUNT \
	VPSHUFB REVERSE, COUNTER, Z0; \
	VPADDD four<>(SB), COUNTER, COUNTER; \
	VPSHUFB REVERSE, COUNTER, Z1; \
	VPADDD four<>(SB), COUNTER, COUNTER; \
	VPSHUFB REVERSE, COUNTER, Z2; \
	VPADDD four<>(SB), COUNTER, COUNTER; \
	VPSHUFB REVERSE, COUNTER, Z3; \
	VPADDD four<>(SB), COUNTER, COUNTER; \
	VPXORQ KEY0, Z0, Z0; \
	VPXORQ KEY0, Z1, Z1; \
	VPXORQ KEY0, Z2, Z2; \
	VPXORQ KEY0, Z3, Z3

// MORE is rounds 10 to 13, which AES-256 alone has.
#define MORE(done) \
	CMPQ R10, $10; \
	JEQ  done; \
	ROUND(Z26); \
	ROUND(Z27); \
	ROUND(Z28); \
	ROUND(Z29); \
done:

// LAST is the last round with 256 bytes of src added, to dst and Z4 to Z7.
#define LAST \
	VPXORQ      0(SI), KEYN, Z4; \
	VPXORQ      64(SI), KEYN, Z5; \
	VPXORQ      128(SI), KEYN, Z6; \
	VPXORQ      192(SI), KEYN, Z7; \
	VAESENCLAST Z4, Z0, Z4; \
	VAESENCLAST Z5, Z1, Z5; \
	VAESENCLAST Z6, Z2, Z6; \
	VAESENCLAST Z7, Z3, Z7; \
	VMOVDQU64   Z4, 0(DI); \
	VMOVDQU64   Z5, 64(DI); \
	VMOVDQU64   Z6, 128(DI); \
	VMOVDQU64   Z7, 192(DI); \
	ADDQ        $256, SI; \
	ADDQ        $256, DI; \
	SUBQ        $256, DX

// HASH0 to HASH3 multiply the blocks in Z4 to Z7 by the powers at R8 and add up.
#define HASH0 \
	VPSHUFB    REVERSE, Z4, Z4; \
	VMOVDQU64  0(R8), Z13; \
	VPXORQ     HASH, Z4, Z4; \
	VPCLMULQDQ $0x00, Z13, Z4, LO; \
	VPCLMULQDQ $0x01, Z13, Z4, MID; \
	VPCLMULQDQ $0x11, Z13, Z4, HI; \
	VPCLMULQDQ $0x10, Z13, Z4, Z4

#define HASH1 \
	VPSHUFB    REVERSE, Z5, Z5; \
	VMOVDQU64  64(R8), Z13; \
	VPCLMULQDQ $0x01, Z13, Z5, Z12; \
	VPTERNLOGQ $0x96, Z12, Z4, MID; \
	VPCLMULQDQ $0x10, Z13, Z5, Z4; \
	VPCLMULQDQ $0x00, Z13, Z5, Z11; \
	VPCLMULQDQ $0x11, Z13, Z5, Z5

#define HASH2 \
	VPSHUFB    REVERSE, Z6, Z6; \
	VMOVDQU64  128(R8), Z13; \
	VPCLMULQDQ $0x01, Z13, Z6, Z12; \
	VPTERNLOGQ $0x96, Z12, Z4, MID; \
	VPCLMULQDQ $0x10, Z13, Z6, Z4; \
	VPCLMULQDQ $0x00, Z13, Z6, Z12; \
	VPTERNLOGQ $0x96, Z12, Z11, LO; \
	VPCLMULQDQ $0x11, Z13, Z6, Z12; \
	VPTERNLOGQ $0x96, Z12, Z5, HI

#define HASH3 \
	VPSHUFB    REVERSE, Z7, Z7; \
	VMOVDQU64  192(R8), Z13; \
	VPCLMULQDQ $0x01, Z13, Z7, Z12; \
	VPTERNLOGQ $0x96, Z12, Z4, MID; \
	VPCLMULQDQ $0x10, Z13, Z7, Z11; \
	VPCLMULQDQ $0x00, Z13, Z7, Z12; \
	VPCLMULQDQ $0x11, Z13, Z7, Z7; \
	VPXORQ     Z11, MID, MID; \
	VPXORQ     Z12, LO, LO; \
	VPXORQ     Z7, HI, HI

// REDUCE0 folds the low 64 bits of LO into MID, REDUCE1 those of MID into HI,
// which is then the product modulo the polynomial, for each lane of its own.
#define REDUCE0 \
	VPCLMULQDQ $0x00, ·fold(SB), LO, Z11; \
	VPSHUFD    $0x4e, LO, LO; \
	VPTERNLOGQ $0x96, LO, Z11, MID

#define REDUCE1 \
	VPCLMULQDQ $0x00, ·fold(SB), MID, Z11; \
	VPSHUFD    $0x4e, MID, MID; \
	VMOVDQA64  HI, HASH; \
	VPTERNLOGQ $0x96, MID, Z11, HASH

// LANES adds the four lanes of HASH up in the first and clears the others.
#define LANES \
	VEXTRACTI64X4 $1, Z12, Y11; \
	VPXOR         Y11, Y12, Y12; \
	VEXTRACTI128  $1, Y12, X11; \
	VPXOR         X11, X12, X12

// MULTIPLY sets LO, MID and HI to the products of Z4 and the powers in Z13.
#define MULTIPLY \
	VPCLMULQDQ $0x00, Z13, Z4, LO; \
	VPCLMULQDQ $0x01, Z13, Z4, MID; \
	VPCLMULQDQ $0x10, Z13, Z4, Z11; \
	VPCLMULQDQ $0x11, Z13, Z4, HI; \
	VPXORQ     Z11, MID, MID

// ADD adds them instead.
#define ADD \
	VPCLMULQDQ $0x00, Z13, Z4, Z5; \
	VPCLMULQDQ $0x01, Z13, Z4, Z6; \
	VPCLMULQDQ $0x10, Z13, Z4, Z7; \
	VPCLMULQDQ $0x11, Z13, Z4, Z11; \
	VPXORQ     Z5, LO, LO; \
	VPTERNLOGQ $0x96, Z6, Z7, MID; \
	VPXORQ     Z11, HI, HI

// func crypt(s *schedule, nonce *byte, dst, src *byte, n int, data *byte, dataLen int, tag *[16]byte, seal bool)
TEXT ·crypt(SB), NOSPLIT, $0-65
	MOVQ s+0(FP), AX
	MOVQ nonce+8(FP), R12
	MOVQ dst+16(FP), DI
	MOVQ src+24(FP), SI
	MOVQ n+32(FP), DX
	MOVQ data+40(FP), BX
	MOVQ dataLen+48(FP), CX
	MOVLQZX ROUNDS(AX), R10

	VBROADCASTI32X4 ·reverse(SB), REVERSE
	VBROADCASTI32X4 0(AX), KEY0
	VBROADCASTI32X4 16(AX), Z17
	VBROADCASTI32X4 32(AX), Z18
	VBROADCASTI32X4 48(AX), Z19
	VBROADCASTI32X4 64(AX), Z20
	VBROADCASTI32X4 80(AX), Z21
	VBROADCASTI32X4 96(AX), Z22
	VBROADCASTI32X4 112(AX), Z23
	VBROADCASTI32X4 128(AX), Z24
	VBROADCASTI32X4 144(AX), Z25
	VBROADCASTI32X4 160(AX), Z26
	VBROADCASTI32X4 176(AX), Z27
	VBROADCASTI32X4 192(AX), Z28
	VBROADCASTI32X4 208(AX), Z29
	VBROADCASTI32X4 LASTKEY(AX), KEYN

	// The first counter block: the nonce, then 1 in 32 bits.
	MOVL        $0x01000000, R13
	VMOVQ       (R12), X0
	VPINSRD     $2, 8(R12), X0, X0
	VPINSRD     $3, R13, X0, X0
	VPSHUFB     X31, X0, X15
	VSHUFI64X2  $0, Z15, Z15, COUNTER
	VPADDD      first<>(SB), COUNTER, COUNTER
	VPXORQ      X16, X0, TAGMASK
	VAESENC     X17, TAGMASK, TAGMASK
	VAESENC     X18, TAGMASK, TAGMASK
	VAESENC     X19, TAGMASK, TAGMASK
	VAESENC     X20, TAGMASK, TAGMASK
	VAESENC     X21, TAGMASK, TAGMASK
	VAESENC     X22, TAGMASK, TAGMASK
	VAESENC     X23, TAGMASK, TAGMASK
	VAESENC     X24, TAGMASK, TAGMASK
	VAESENC     X25, TAGMASK, TAGMASK
	CMPQ        R10, $10
	JEQ         masked
	VAESENC     X26, TAGMASK, TAGMASK
	VAESENC     X27, TAGMASK, TAGMASK
	VAESENC     X28, TAGMASK, TAGMASK
	VAESENC     X29, TAGMASK, TAGMASK

masked:
	VAESENCLAST X30, TAGMASK, TAGMASK

	// Additional data. One block before little data needs no product of its own:
	// R13 says that it waits in HASH.
	VPXOR X12, X12, X12
	XORL  R13, R13
	CMPQ  CX, $16
	JGT   additional
	CMPQ  DX, $256
	JGE   additional
	TESTQ CX, CX
	JEQ   tail
	MOVQ  $-1, R8
	BZHIQ CX, R8, R8
	KMOVQ R8, K1
	VMOVDQU8.Z (BX), K1, X12
	VPSHUFB X31, X12, X12
	MOVL  $1, R13
	JMP   tail

additional:
	TESTQ CX, CX
	JLE   bulk
	MOVQ  $-1, R8
	MOVL  $64, R9
	CMPQ  CX, R9
	CMOVQLT CX, R9
	BZHIQ R9, R8, R8
	KMOVQ R8, K1
	VMOVDQU8.Z (BX), K1, Z4
	ADDQ  $64, BX
	SUBQ  $64, CX
	ADDQ  $15, R9               // the power that the first of these blocks takes
	ANDQ  $~15, R9
	NEGQ  R9
	VMOVDQU64 (POWER1+16)(AX)(R9*1), Z13
	VPSHUFB REVERSE, Z4, Z4
	VPXORQ HASH, Z4, Z4
	MULTIPLY
	REDUCE0
	REDUCE1
	LANES
	JMP   additional

bulk:
	CMPQ DX, $256
	JLT  tail
	CMPB seal+64(FP), $0
	JEQ  open

	// Sealing, the blocks of one turn are hashed while those of the next are
	// enciphered.
	LEAQ WIDE(AX), R8
	COUNT
	ROUND(Z17)
	ROUND(Z18)
	ROUND(Z19)
	ROUND(Z20)
	ROUND(Z21)
	ROUND(Z22)
	ROUND(Z23)
	ROUND(Z24)
	ROUND(Z25)
	MORE(sealFirst)
	LAST
	CMPQ DX, $256
	JLT  sealed

	PCALIGN $64
sealing:
	COUNT
	ROUND(Z17)
	HASH0
	ROUND(Z18)
	HASH1
	ROUND(Z19)
	ROUND(Z20)
	HASH2
	ROUND(Z21)
	ROUND(Z22)
	HASH3
	ROUND(Z23)
	REDUCE0
	ROUND(Z24)
	REDUCE1
	ROUND(Z25)
	MORE(sealMore)
	LAST
	CMPQ DX, $256
	JGE  sealing

sealed:
	LEAQ NARROW(AX), R8
	HASH0
	HASH1
	HASH2
	HASH3
	REDUCE0
	REDUCE1
	LANES
	JMP tail

open:
	LEAQ WIDE(AX), R8
	LEAQ NARROW(AX), R9

	PCALIGN $64
opening:
	CMPQ DX, $512
	CMOVQLT R9, R8              // the last turn ends with powers of their own for the lanes
	VMOVDQU64 0(SI), Z4
	VMOVDQU64 64(SI), Z5
	VMOVDQU64 128(SI), Z6
	VMOVDQU64 192(SI), Z7
	COUNT
	ROUND(Z17)
	HASH0
	ROUND(Z18)
	HASH1
	ROUND(Z19)
	ROUND(Z20)
	HASH2
	ROUND(Z21)
	ROUND(Z22)
	HASH3
	ROUND(Z23)
	REDUCE0
	ROUND(Z24)
	REDUCE1
	ROUND(Z25)
	MORE(openMore)
	LAST
	CMPQ DX, $256
	JGE  opening
	LANES

	// Up to 16 blocks, four at a time, of which the last may be short. R9 is
	// where the power of the first one lies: after the data comes one block of
	// lengths.
tail:
	LEAQ   15(DX), R9
	ANDQ   $~15, R9
	NEGQ   R9
	LEAQ   POWER1(AX)(R9*1), R9
	VPXORQ LO, LO, LO
	VPXORQ MID, MID, MID
	VPXORQ HI, HI, HI
	MOVBQSX seal+64(FP), R8
	NEGQ   R8
	KMOVQ  R8, K2
	TESTQ  R13, R13
	JEQ    tailNext
	VMOVDQU  -16(R9), X13
	VMOVDQA64 Z12, Z4
	MULTIPLY
	VPXOR X12, X12, X12

tailNext:
	TESTQ DX, DX
	JLE   lengths
	VPSHUFB REVERSE, COUNTER, Z0
	VPADDD  four<>(SB), COUNTER, COUNTER
	VPXORQ  KEY0, Z0, Z0
	MOVQ  $-1, R8
	MOVL  $64, R13
	CMPQ  DX, R13
	CMOVQLT DX, R13
	BZHIQ R13, R8, R8
	KMOVQ R8, K1
	VMOVDQU8.Z (SI), K1, Z4
	VMOVDQU64 (R9), Z13
	KANDQ K1, K2, K3
	VAESENC Z17, Z0, Z0
	VAESENC Z18, Z0, Z0
	VAESENC Z19, Z0, Z0
	VAESENC Z20, Z0, Z0
	VAESENC Z21, Z0, Z0
	VAESENC Z22, Z0, Z0
	VAESENC Z23, Z0, Z0
	VAESENC Z24, Z0, Z0
	VAESENC Z25, Z0, Z0
	CMPQ  R10, $10
	JEQ   tailMore
	VAESENC Z26, Z0, Z0
	VAESENC Z27, Z0, Z0
	VAESENC Z28, Z0, Z0
	VAESENC Z29, Z0, Z0

tailMore:
	VPXORQ KEYN, Z4, Z5
	VAESENCLAST Z5, Z0, Z5
	VMOVDQU8 Z5, K1, (DI)
	VMOVDQU8 Z5, K3, Z4         // what is hashed is the ciphertext
	VPSHUFB REVERSE, Z4, Z4
	VPXORQ  HASH, Z4, Z4
	VPXOR   X12, X12, X12
	ADD
	ADDQ $64, SI
	ADDQ $64, DI
	ADDQ $64, R9
	SUBQ $64, DX
	JMP  tailNext

	// The lengths in bits: of the additional data, then of the data.
lengths:
	MOVQ    n+32(FP), R8
	MOVQ    dataLen+48(FP), R9
	MOVQ    tag+56(FP), R11
	SHLQ    $3, R8
	SHLQ    $3, R9
	VMOVQ   R8, X4
	VPINSRQ $1, R9, X4, X4
	VPXOR   X12, X4, X4
	VMOVDQU POWER1(AX), X13
	ADD
	REDUCE0
	REDUCE1
	LANES
	VPSHUFB X31, X12, X12
	VPXOR   TAGMASK, X12, X12
	VMOVDQU X12, (R11)

	// Neither the keys nor a state that is dear to save at a change of threads
	// stay behind.
	VPXORQ  X16, X16, X16
	VPXORQ  X17, X17, X17
	VPXORQ  X18, X18, X18
	VPXORQ  X19, X19, X19
	VPXORQ  X20, X20, X20
	VPXORQ  X21, X21, X21
	VPXORQ  X22, X22, X22
	VPXORQ  X23, X23, X23
	VPXORQ  X24, X24, X24
	VPXORQ  X25, X25, X25
	VPXORQ  X26, X26, X26
	VPXORQ  X27, X27, X27
	VPXORQ  X28, X28, X28
	VPXORQ  X29, X29, X29
	VPXORQ  X30, X30, X30
	VPXORQ  X31, X31, X31
	KXORQ   K1, K1, K1
	KXORQ   K2, K2, K2
	KXORQ   K3, K3, K3
	VZEROUPPER
	RET
