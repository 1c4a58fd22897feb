// Package proxy is the sidecar. A connection is accepted (listen), its
// original destination and its protocol are found (sniff), mesh TLS is taken
// off (mtls), each request chooses a rule (route), passes an ordered list of
// filters (filter, policy), is given an endpoint (balance) and a connection to
// it (upstream), and is carried there and back (forward, tcp).
//
// inbound and outbound are two short assemblies of these leaves. The leaves
// know nothing of xDS: config compiles resources into their types.
package proxy
