// Package proxytest puts whole proxies into a test: workloads with their own
// certificates, an inbound and an outbound side on explicit loopback listeners,
// and a configuration that the test writes instead of a control plane.
package proxytest
