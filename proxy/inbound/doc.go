// Package inbound is the assembly for connections to the workload: mesh TLS is
// told from the application's own and taken off, the port's policy decides,
// and what is accepted goes to the application.
package inbound
