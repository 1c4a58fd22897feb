// Package grpcwire is a small gRPC client on the proxy's own HTTP/2: unary
// calls and bidirectional streams of already encoded messages, without
// compression. The proxy speaks to the control plane with it.
//
// Wire format: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
package grpcwire
