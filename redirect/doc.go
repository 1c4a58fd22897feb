// Package redirect sends the TCP connections of a network namespace through
// the proxy in it. What shall hold is a value, a Plan made from a Config; what
// makes it hold is one of two backends: nftables by netlink, or the iptables
// interface of older kernels by socket options. Neither needs a binary or a
// shell. UDP and everything else but TCP is left alone.
//
// The proxy finds where a redirected connection was going by SO_ORIGINAL_DST.
package redirect
