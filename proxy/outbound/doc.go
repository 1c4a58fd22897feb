// Package outbound is the assembly for connections that the workload makes:
// the destination is looked up by the address that was dialled, or by the name
// that the client asks for, the protocol adopted or detected, and the connection
// handed to forward.
package outbound
