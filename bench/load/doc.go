// Package load drives one of the application's ports through a proxy: wrk and
// h2load where they measure what is needed, and generators of its own for
// constant rates (latency counted from the time a request should have been
// sent), gRPC, TCP and new connections.
package load
