// Package outbound is the assembly for connections that the workload makes:
// the destination is looked up, the protocol adopted or detected, and the
// connection handed to forward.
package outbound
