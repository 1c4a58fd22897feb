// Package dataplane shows the data plane from outside: real control plane and
// proxies on loopback, raw sockets at both ends, and whatever may go wrong
// between them. Its tests know nothing of how a proxy is made, so they hold for
// any way of making it.
//
// By default everything takes a few minutes and is part of `go test`; what takes
// longer is asked for with flags (`make dataplane-full`, `make soak`). Built with
// -race, the tests build the proxies with the race detector too, and a report
// of it fails the test whose proxy it comes from.
package dataplane
