//go:build !linux

package listen

import (
	"net"
	"net/netip"
)

func originalDst(*net.TCPConn, bool) (netip.AddrPort, error) {
	return netip.AddrPort{}, ErrNotRedirected
}
