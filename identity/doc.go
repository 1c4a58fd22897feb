// Package identity names workloads and proves who they are: SPIFFE IDs, trust
// domains, the X.509 documents that carry them, and the rules that accept or
// refuse a peer. It depends on the standard library alone, so that every
// product of the mesh shares one meaning of "who".
package identity
