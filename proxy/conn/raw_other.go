//go:build !linux

package conn

import (
	"syscall"
	"time"
)

// Elsewhere connections are driven by their own methods.
const rawSupported = false

func sysRead(uintptr, []byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func sysWrite(uintptr, *[2]syscall.Iovec, []byte, []byte) (int, syscall.Errno) {
	return 0, syscall.ENOSYS
}

func sysPeek(uintptr, *[1]byte) (int, syscall.Errno) { return 0, syscall.ENOSYS }

func sysFailed(uintptr, bool) bool { return false }

type control struct{}

func (c *Conn) askInq() bool { return false }

func sysReadInq(uintptr, []byte, *control) (int, int, syscall.Errno) { return 0, -1, syscall.ENOSYS }

func sysUnacknowledged(uintptr) (int, bool) { return 0, false }

func sysHeard(uintptr) (time.Duration, bool) { return 0, false }
