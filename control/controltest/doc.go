// Package controltest runs a whole control plane in the test's process, on a
// folder of YAML and loopback ports, with clients that speak to it over real
// gRPC and mutual TLS.
package controltest
