// Package mtls is the proxy's own identity and its judgement of others: a
// certificate whose key never leaves the process, renewed before its end, and
// the TLS configurations that prove and demand identities with it.
//
// Every handshake is judged against the trust bundle of the moment, so a
// changed bundle holds from the next connection on, resumed sessions included: a
// ticket is worth nothing once the roots have changed or the peer's certificate
// has ended, and resuming never spares the judgement of identities. A chain that
// was verified is not verified again while roots and validity are the same.
package mtls
