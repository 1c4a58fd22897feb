package conn

import (
	"encoding/binary"
	"syscall"
	"time"
	"unsafe"
)

// These calls never block, because the descriptors are O_NONBLOCK and owned by
// the netpoller: so the scheduler need not hear of them (RawSyscall), which
// halves the cost of a request at ordinary loads.

func sysRead(fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, _, e := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		if e != syscall.EINTR {
			return int(n), e
		}
	}
}

// sysWrite sends a and then b in one call; at least one of them is not empty.
func sysWrite(fd uintptr, iov *[2]syscall.Iovec, a, b []byte) (int, syscall.Errno) {
	for {
		var n uintptr
		var e syscall.Errno
		switch {
		case len(b) == 0:
			n, _, e = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&a[0])), uintptr(len(a)))
		case len(a) == 0:
			n, _, e = syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		default:
			iov[0].Base, iov[1].Base = &a[0], &b[0]
			iov[0].SetLen(len(a))
			iov[1].SetLen(len(b))
			n, _, e = syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(iov)), 2)
			iov[0].Base, iov[1].Base = nil, nil
		}
		if e != syscall.EINTR {
			return int(n), e
		}
	}
}

// sysPeek looks at one unread byte without taking it.
func sysPeek(fd uintptr, p *[1]byte) (int, syscall.Errno) {
	for {
		n, _, e := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(p)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		if e != syscall.EINTR {
			return int(n), e
		}
	}
}

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	fd              int32
	events, revents int16
}

// What poll(2) tells unasked, and that the peer has ended its direction.
const (
	pollErr   = 0x8
	pollHup   = 0x10
	pollRdHup = 0x2000
)

// sysFailed tells whether the socket has an error, or both of its directions
// have ended, or, with ended, the peer's; it does not wait.
func sysFailed(fd uintptr, ended bool) bool {
	p := pollFD{fd: int32(fd)}
	if ended {
		p.events = pollRdHup
	}
	var now syscall.Timespec
	for {
		n, _, e := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if e != syscall.EINTR {
			return e == 0 && n == 1 && p.revents&(pollErr|pollHup|pollRdHup) != 0
		}
	}
}

// tcpInq is TCP_INQ, and the type of the message that it makes (linux/tcp.h).
const tcpInq = 36

// control is where the kernel puts what it tells about a read.
type control struct {
	msg syscall.Msghdr
	iov syscall.Iovec
	oob struct {
		head syscall.Cmsghdr
		left int32
		_    int32
	}
}

// askInq makes reads tell what they leave (Linux 4.18 and later).
func (c *Conn) askInq() bool {
	ok := false
	err := c.rc.Control(func(fd uintptr) {
		ok = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpInq, 1) == nil
	})
	return ok && err == nil
}

// sysReadInq is sysRead that tells how much is left; the end of the stream
// counts as one byte, so that nobody waits for it in vain.
func sysReadInq(fd uintptr, p []byte, c *control) (n, left int, e syscall.Errno) {
	c.iov.Base = &p[0]
	c.iov.SetLen(len(p))
	c.msg = syscall.Msghdr{Iov: &c.iov, Iovlen: 1, Control: (*byte)(unsafe.Pointer(&c.oob))}
	for {
		c.msg.SetControllen(int(unsafe.Sizeof(c.oob)))
		r, _, e := syscall.RawSyscall(syscall.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&c.msg)), 0)
		if e == syscall.EINTR {
			continue
		}
		c.iov.Base, left = nil, -1
		if e == 0 && c.msg.Controllen > 0 && c.oob.head.Level == syscall.IPPROTO_TCP && c.oob.head.Type == tcpInq {
			left = int(c.oob.left)
		}
		return int(r), left, e
	}
}

const rawSupported = true

// sysUnacknowledged is how many bytes that the system has taken the peer's
// system has not acknowledged (SIOCOUTQ, see tcp(7)); 0 where that is unknown.
// reset says that the connection is over: the peer does not take any more.
func sysUnacknowledged(fd uintptr) (n int, reset bool) {
	// The first octet of struct tcp_info is the state. It is asked first: bytes
	// that are acknowledged in between count as such.
	state, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
	if err != nil {
		return 0, false
	}
	var left int32
	if _, _, e := syscall.RawSyscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&left))); e != 0 {
		return 0, false
	}
	return int(left), state&0xff == tcpClose
}

// tcpClose is the state of a connection that was reset (TCP_CLOSE).
const tcpClose = 7

// lastAck is where tcpi_last_ack_recv is in struct tcp_info (linux/tcp.h).
const lastAck = 56

// sysHeard is how long ago the last acknowledgement came, which every segment
// but the first has.
func sysHeard(fd uintptr) (ago time.Duration, ok bool) {
	var info [lastAck + 4]byte
	n := uint32(len(info))
	_, _, e := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, fd, syscall.IPPROTO_TCP, syscall.TCP_INFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&n)), 0)
	if e != 0 || n < uint32(len(info)) {
		return 0, false
	}
	return time.Duration(binary.NativeEndian.Uint32(info[lastAck:])) * time.Millisecond, true
}
