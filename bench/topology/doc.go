// Package topology starts what is measured: for each peer an outbound and an
// inbound sidecar with mutual TLS 1.3 between them, all on loopback, one worker
// each, with certificates of one authority.
//
//	load ──► outbound sidecar ══ mTLS 1.3 ══► inbound sidecar ──► application
//
// Everything is a child of the program that uses the package and ends with it.
package topology
