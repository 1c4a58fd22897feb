package listen

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"
)

// Socket options of netfilter: linux/netfilter_ipv4.h and netfilter_ipv6/ip6_tables.h.
const (
	soOriginalDst   = 80
	ip6tOriginalDst = 80
)

func originalDst(c *net.TCPConn, v4 bool) (netip.AddrPort, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, err
	}
	var sa [syscall.SizeofSockaddrInet6]byte
	var errno syscall.Errno
	err = rc.Control(func(fd uintptr) {
		level, option, size := uintptr(syscall.IPPROTO_IPV6), uintptr(ip6tOriginalDst), uint32(syscall.SizeofSockaddrInet6)
		if v4 {
			level, option, size = syscall.IPPROTO_IP, soOriginalDst, syscall.SizeofSockaddrInet4
		}
		// getsockopt does not block.
		_, _, errno = syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, fd, level, option, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), 0)
	})
	switch {
	case err != nil:
		return netip.AddrPort{}, err
	case errno == syscall.ENOENT || errno == syscall.ENOPROTOOPT:
		// Connection tracking has not seen it, or is not in the kernel.
		return netip.AddrPort{}, ErrNotRedirected
	case errno != 0:
		return netip.AddrPort{}, fmt.Errorf("listen: reading the original destination: %w", errno)
	}
	port := binary.BigEndian.Uint16(sa[2:])
	if v4 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(sa[4:8])), port), nil
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(sa[8:24])).Unmap(), port), nil
}
