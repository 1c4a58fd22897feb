// Package aesgcm is AES-GCM on vectors of 512 bits, for the records of the hop.
//
// The AES-GCM of the standard library works on one block an instruction. Of what
// it costs two sidecars to move bytes in bulk, over a third is that. Processors
// with VAES and VPCLMULQDQ do four blocks an instruction, and this package uses
// them; on all others, New returns the standard library's.
//
// What is computed is NIST SP 800-38D, with AES as in FIPS 197. How: GHASH on
// reversed blocks, sixteen of which are multiplied by descending powers of the
// hash key before one reduction, by two carry-less multiplications with
// x^7 + x^2 + x + 1 (Gueron and Kounaves, "Intel Carry-Less Multiplication
// Instruction and its Usage for Computing the GCM Mode"); each lane of a vector
// keeps a sum of its own, and the last sixteen blocks bring the lanes together.
// Counter blocks are enciphered between those multiplications, sixteen at a time
// (Gueron, "Intel Advanced Encryption Standard (AES) New Instructions Set").
// The assembly is written for this package; no instruction depends on a secret
// for its address, its branch or its time.
//
// Before the first key the assembly is compared with the standard library on
// every path. If they ever disagreed, the standard library's is used, and Fault
// says so.
package aesgcm
