// Package porttest gives tests addresses that behave.
package porttest

import (
	"net/netip"
	"syscall"
	"testing"
)

// Nobody is an address that refuses connections. It is kept until the test ends:
// that of a listener that was closed may be given to whoever listens next, in
// another process, too.
func Nobody(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	syscall.CloseOnExec(fd)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	local := [4]byte{127, 0, 0, 1}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: local}); err != nil {
		t.Fatal(err)
	}
	a, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(local), uint16(a.(*syscall.SockaddrInet4).Port)) //nolint:gosec // a port
}
