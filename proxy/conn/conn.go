package conn

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrBufferFull means that MaxBuffered bytes wait to be discarded.
var ErrBufferFull = errors.New("conn: buffer is full")

// MaxBuffered is how many bytes Fill gathers at most on top of what one read
// brings.
const MaxBuffered = 64 << 10

// closeWait bounds how long Close waits for a transport without a descriptor
// to take what was gathered.
const closeWait = time.Second

// Conn is a connection with buffered input and gathered output. It implements
// net.Conn.
type Conn struct {
	nc net.Conn
	rc syscall.RawConn // nil: driven by nc's methods

	// The reading side belongs to one goroutine.
	in      *buffer
	r, w    int // in.b[r:w] is unread
	want    int // class of the next buffer
	first   bool
	skip    bool
	stalled bool // the kernel did not take all pending output
	rn      int
	rerrno  syscall.Errno
	inErr   error // found together with bytes that came before it
	readFn  func(uintptr) bool
	peeked  [1]byte
	peekN   int
	peekE   syscall.Errno
	peekFn  func(uintptr)

	// The writing side is guarded by wmu.
	wmu     sync.Mutex
	out     *buffer
	sent, n int    // out.b[sent:n] is pending
	taken   uint64 // bytes that the kernel has accepted
	tail    []byte // pending behind it, memory of the caller
	werrno  syscall.Errno
	werr    error // sticky
	writeFn func(uintptr) bool
	tryFn   func(uintptr) bool
	iov     [2]syscall.Iovec

	duplex atomic.Bool
	closed atomic.Bool
	meter  atomic.Pointer[metered]
	ended  atomic.Pointer[func()]
	fault  atomic.Uint32 // errno

	under *Conn // TLS: the encrypted bytes
	below bool  // it is under, and carries records
	own   *own  // records are protected here
	tls   *tls.Conn
	rec   *transport // of tls; nil when that was made by other means

	late, wlate bool // in tests: news of readiness comes late
}

var _ net.Conn = (*Conn)(nil)

// New wraps a connection. *net.TCPConn and *net.UnixConn are driven by raw
// system calls; any other one by its own methods.
func New(nc net.Conn) *Conn {
	c := &Conn{nc: nc, want: classRead}
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		if rc, err := nc.(syscall.Conn).SyscallConn(); err == nil && rawSupported {
			c.rc = rc
			c.readFn, c.writeFn, c.peekFn = c.onReadable, c.onWritable, c.onPeek
		}
	}
	return c
}

// SetDuplex says that reads and writes come from different goroutines, which
// must not wait for each other: Fill no longer flushes, writers do. What is
// pending, such as the end of a handshake, is flushed now.
func (c *Conn) SetDuplex() {
	_ = c.Flush() // an error is sticky, and met by whoever uses the connection next
	c.duplex.Store(true)
	if c.under != nil {
		c.under.duplex.Store(true)
	}
}

// Raw returns the TCP connection of a plaintext Conn, else nil.
func (c *Conn) Raw() *net.TCPConn {
	if c.under != nil {
		return nil
	}
	t, _ := c.nc.(*net.TCPConn)
	return t
}

// Local is the socket's own address, with IPv4 never in mapped form; zero
// where the transport has none.
func (c *Conn) Local() netip.AddrPort { return addrPort(c.nc.LocalAddr()) }

// Remote is the peer's address; see Local.
func (c *Conn) Remote() netip.AddrPort { return addrPort(c.nc.RemoteAddr()) }

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	p := t.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// SetDeadline implements net.Conn; it wakes a blocked Fill or Flush. A write
// that timed out has broken the stream; a read may be repeated.
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.nc.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.nc.SetWriteDeadline(t) }

// Close sends what the kernel takes at once and closes. Safe at any time from
// any goroutine, more than once.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	defer c.over()
	if c.own != nil {
		return c.closeOwn()
	}
	if c.tls != nil {
		return c.closeTLS()
	}
	// A lock that is taken means that somebody waits in Flush: closing wakes
	// them, and there is nothing to be sent behind what did not fit.
	if c.wmu.TryLock() {
		c.sendLast()
		c.drop()
		if c.werr == nil {
			c.werr = net.ErrClosed
		}
		c.wmu.Unlock()
	}
	return c.nc.Close()
}

// Abort closes with a TCP reset and drops what was not sent.
func (c *Conn) Abort() {
	c.closed.Store(true)
	if c.under != nil {
		c.under.closed.Store(true)
	}
	if t, ok := c.nc.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.nc.Close()
	c.over()
}

// CloseWrite flushes and ends the outgoing direction: FIN, or close_notify.
func (c *Conn) CloseWrite() error {
	if c.own != nil {
		return c.endOwn()
	}
	if err := c.Flush(); err != nil {
		return err
	}
	if c.tls != nil {
		if err := c.tls.CloseWrite(); err != nil {
			return err
		}
		// crypto/tls leaves a deadline in the past behind.
		_ = c.nc.SetWriteDeadline(time.Time{})
		return c.under.Flush()
	}
	if h, ok := c.nc.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	// A transport without half-close (net.Pipe) can only end altogether.
	return c.nc.Close()
}

// opError gives a failed system call the form of package net's errors.
func (c *Conn) opError(op string, e syscall.Errno) error {
	c.failed(e)
	return &net.OpError{Op: op, Net: c.nc.LocalAddr().Network(), Source: c.nc.LocalAddr(), Addr: c.nc.RemoteAddr(), Err: os.NewSyscallError(op, e)}
}
