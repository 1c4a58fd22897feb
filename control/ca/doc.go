// Package ca is the mesh's certificate authority: an issuer and a trust bundle
// that can be replaced while it runs, the signing service for workloads, and
// the control plane's own serving certificates.
//
//	Material (PEM) ─► NewIssuer checks it ─► Authority ─┬─ Sign: CSR + proven caller ─► leaf, 24 h
//	   files, Secret                                    ├─ Serving: certificates of our own ports
//	                                                    └─ Bundle: what clients verify with
//
// A new issuer that does not fit is refused with a reason, and the last good
// one serves on.
package ca
