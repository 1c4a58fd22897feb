package listen

import (
	"errors"
	"net"
	"net/netip"
)

// ErrNotRedirected means that the kernel knows no other destination.
var ErrNotRedirected = errors.New("listen: connection was not redirected")

// OriginalDst returns the address that the client dialled before the kernel
// redirected the connection (SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST). An IPv4
// connection on a socket that serves both families gives an IPv4 address.
func OriginalDst(c *net.TCPConn) (netip.AddrPort, error) {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}, ErrNotRedirected
	}
	to := local.AddrPort()
	to = netip.AddrPortFrom(to.Addr().Unmap().WithZone(""), to.Port())
	original, err := originalDst(c, to.Addr().Is4())
	if err != nil {
		return netip.AddrPort{}, err
	}
	if original == to {
		return netip.AddrPort{}, ErrNotRedirected
	}
	return original, nil
}
