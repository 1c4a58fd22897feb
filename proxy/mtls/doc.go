// Package mtls is the proxy's own identity and its judgement of others: a
// certificate whose key never leaves the process, renewed before its end, and
// the TLS configurations that prove and demand identities with it.
//
// Every handshake is judged against the trust bundle of the moment, so a
// changed bundle holds from the next connection on. Sessions are not resumed:
// connections are pooled instead, and nobody is let in by an old ticket.
package mtls
