//go:build !purego

#include "textflag.h"

// carry is what the bit that a shift pushes out stands for.
DATA carry<>+0(SB)/8, $1
DATA carry<>+8(SB)/8, $0xc200000000000000
GLOBL carry<>(SB), RODATA|NOPTR, $16

// rotate takes the last word of a key, rotated, to all four; spread the word as
// it is (FIPS 197 section 5.2).
DATA rotate<>+0(SB)/8, $0x0c0f0e0d0c0f0e0d
DATA rotate<>+8(SB)/8, $0x0c0f0e0d0c0f0e0d
GLOBL rotate<>(SB), RODATA|NOPTR, $16

DATA rcon<>+0(SB)/4, $0x01
DATA rcon<>+4(SB)/4, $0x02
DATA rcon<>+8(SB)/4, $0x04
DATA rcon<>+12(SB)/4, $0x08
DATA rcon<>+16(SB)/4, $0x10
DATA rcon<>+20(SB)/4, $0x20
DATA rcon<>+24(SB)/4, $0x40
DATA rcon<>+28(SB)/4, $0x80
DATA rcon<>+32(SB)/4, $0x1b
DATA rcon<>+36(SB)/4, $0x36
GLOBL rcon<>(SB), RODATA|NOPTR, $40

// EXPAND sets key to the next four words of the schedule: each is the sum of
// those before it in key, and word. X2 is lost.
#define EXPAND(key, word) \
	VPSLLDQ $4, key, X2; \
	VPXOR   X2, key, key; \
	VPSLLDQ $8, key, X2; \
	VPXOR   X2, key, key; \
	VPXOR   word, key, key

// func expand(s *schedule, key *byte)
//
// AESENCLAST of four equal words is SubWord and the addition of a key: moving
// the rows changes nothing.
TEXT ·expand(SB), NOSPLIT, $0-16
	MOVQ    s+0(FP), AX
	MOVQ    key+8(FP), BX
	MOVLQZX 880(AX), R10 // rounds
	LEAQ    rcon<>(SB), R8
	VMOVDQU rotate<>(SB), X7
	VPXOR   X6, X6, X6
	MOVQ    AX, DI
	VMOVDQU (BX), X0
	VMOVDQU X0, (DI)
	CMPQ    R10, $14
	JEQ     long

	MOVL $10, CX

short:
	VPSHUFB      X7, X0, X3
	VPBROADCASTD (R8), X4
	VAESENCLAST  X4, X3, X3
	EXPAND(X0, X3)
	ADDQ         $16, DI
	ADDQ         $4, R8
	VMOVDQU      X0, (DI)
	DECL         CX
	JNE          short
	VPXOR        X1, X1, X1
	VMOVDQU      X1, (DI)      // the last key has a place of its own
	VMOVDQU      X0, 224(AX)
	JMP          subkey

long:
	VMOVDQU 16(BX), X1
	VMOVDQU X1, 16(DI)
	MOVL    $7, CX

longNext:
	VPSHUFB      X7, X1, X3
	VPBROADCASTD (R8), X4
	VAESENCLAST  X4, X3, X3
	EXPAND(X0, X3)
	ADDQ         $32, DI
	ADDQ         $4, R8
	VMOVDQU      X0, (DI)
	DECL         CX
	JEQ          subkey
	VPSHUFD      $0xff, X0, X3
	VAESENCLAST  X6, X3, X3
	EXPAND(X1, X3)
	VMOVDQU      X1, 16(DI)
	JMP          longNext

	// H is the cipher of zero (SP 800-38D section 7.1), reversed, shifted to the
	// left by one and reduced.
subkey:
	VMOVDQU (AX), X0
	MOVQ    AX, DI
	DECL    R10

subkeyNext:
	ADDQ    $16, DI
	VAESENC (DI), X0, X0
	DECL    R10
	JNE     subkeyNext

	VAESENCLAST 224(AX), X0, X0
	VPSHUFB     ·reverse(SB), X0, X0
	VPSRAD      $31, X0, X1
	VPSHUFD     $0xff, X1, X1
	VPAND       carry<>(SB), X1, X1
	VPSRLQ      $63, X0, X2
	VPSLLDQ     $8, X2, X2
	VPSLLQ      $1, X0, X0
	VPOR        X2, X0, X0
	VPXOR       X1, X0, X0

	// Its powers, downwards in memory.
	VMOVDQU     X0, 816(AX)
	VMOVDQA     X0, X1
	LEAQ        816(AX), DI
	MOVL        $17, CX

powers:
	VPCLMULQDQ $0x00, X0, X1, X2
	VPCLMULQDQ $0x01, X0, X1, X3
	VPCLMULQDQ $0x10, X0, X1, X4
	VPCLMULQDQ $0x11, X0, X1, X1
	VPXOR      X4, X3, X3
	VPCLMULQDQ $0x00, ·fold(SB), X2, X4
	VPSHUFD    $0x4e, X2, X2
	VPXOR      X2, X3, X3
	VPXOR      X4, X3, X3
	VPCLMULQDQ $0x00, ·fold(SB), X3, X4
	VPSHUFD    $0x4e, X3, X3
	VPXOR      X3, X1, X1
	VPXOR      X4, X1, X1
	SUBQ       $16, DI
	VMOVDQU    X1, (DI)
	DECL       CX
	JNE        powers

	VBROADCASTI32X4 576(AX), Z0 // H^16
	VMOVDQU64       Z0, 256(AX)
	VBROADCASTI32X4 640(AX), Z0 // H^12
	VMOVDQU64       Z0, 320(AX)
	VBROADCASTI32X4 704(AX), Z0 // H^8
	VMOVDQU64       Z0, 384(AX)
	VBROADCASTI32X4 768(AX), Z0 // H^4
	VMOVDQU64       Z0, 448(AX)
	VZEROUPPER
	RET
