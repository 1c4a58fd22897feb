package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// openConn is one connection of the open loop. Only one request is on its way
// at a time, as in the clients that a mesh sees most.
type openConn struct {
	fd    int
	start time.Duration // when the request should have been sent
	head  []byte        // of an answer, while it is incomplete
	left  int           // bytes of the body to come; -1 before the head's end
}

// openLoop sends at a constant rate from one thread. A request that finds no
// free connection waits, and its latency counts from when it was due.
type openLoop struct {
	spec    Spec
	request []byte
	epoll   int
	conns   map[int]*openConn
	free    []*openConn
	waiting []time.Duration // due times
	began   time.Time
	ns      []int64
	result  Result
}

func (s Spec) open(ctx context.Context) (Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l := &openLoop{spec: s, request: s.request(), conns: map[int]*openConn{}}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return Result{}, err
	}
	defer unix.Close(l.epoll) //nolint:errcheck // nothing is left to lose
	defer func() {
		for fd := range l.conns {
			_ = unix.Close(fd) // the load is over
		}
	}()
	for range s.Connections {
		if err := l.dial(); err != nil {
			return Result{}, err
		}
	}
	if err := l.run(ctx); err != nil {
		return Result{}, err
	}
	l.result.Requests = uint64(len(l.ns))
	// What was due and never sent is late by at least this much.
	for _, due := range l.waiting {
		l.ns = append(l.ns, int64(time.Since(l.began)-due))
	}
	l.result.latencies(l.ns)
	return l.result, nil
}

func (l *openLoop) dial() error {
	a, err := net.ResolveTCPAddr("tcp4", l.spec.Address)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())})
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err != nil {
		_ = unix.Close(fd) // the error is told already
		return fmt.Errorf("connect to %s: %w", l.spec.Address, err)
	}
	c := &openConn{fd: fd}
	l.conns[fd] = c
	l.free = append(l.free, c)
	return nil
}

func (l *openLoop) run(ctx context.Context) error {
	interval := time.Second / time.Duration(l.spec.Rate)
	end := l.spec.Warm + l.spec.Duration
	events := make([]unix.EpollEvent, 256)
	buf := make([]byte, 64<<10)
	l.began = time.Now()
	for next := time.Duration(0); time.Since(l.began) < end && ctx.Err() == nil && l.result.Errors == 0; {
		for now := time.Since(l.began); next <= now; next += interval {
			l.waiting = append(l.waiting, next)
		}
		l.sendDue()
		n, err := epollWait(l.epoll, events, next-time.Since(l.began))
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := l.read(l.conns[int(e.Fd)], buf); err != nil {
				l.fail(err)
			}
		}
	}
	return nil
}

// fail takes note of what makes the whole load worthless.
func (l *openLoop) fail(err error) {
	l.result.Errors++
	l.result.First = err.Error()
}

// sendDue gives waiting requests to free connections.
func (l *openLoop) sendDue() {
	for len(l.waiting) > 0 && len(l.free) > 0 {
		c := l.free[0]
		l.free = l.free[1:]
		c.start, c.left, c.head = l.waiting[0], -1, c.head[:0]
		l.waiting = l.waiting[1:]
		if n, err := unix.Write(c.fd, l.request); err != nil {
			l.fail(fmt.Errorf("write: %w", err))
		} else if n != len(l.request) {
			l.fail(fmt.Errorf("write: %w", io.ErrShortWrite))
		}
	}
}

func (l *openLoop) read(c *openConn, buf []byte) error {
	n, err := unix.Read(c.fd, buf)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return nil
	case err != nil:
		return fmt.Errorf("read: %w", err)
	case n == 0:
		return fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	}
	if c.left < 0 {
		c.head = append(c.head, buf[:n]...)
		h := bytes.Index(c.head, []byte("\r\n\r\n"))
		if h < 0 {
			return nil
		}
		length, err := bodyLength(c.head[:h])
		if err != nil {
			return err
		}
		c.left = length - (len(c.head) - h - 4)
	} else {
		c.left -= n
	}
	if c.left > 0 {
		return nil
	}
	if c.start >= l.spec.Warm {
		l.ns = append(l.ns, int64(time.Since(l.began)-c.start))
	}
	l.free = append(l.free, c)
	l.sendDue()
	return nil
}

// bodyLength checks the head of an answer.
func bodyLength(head []byte) (int, error) {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return 0, fmt.Errorf("%w: %.60q", ErrAnswers, head)
	}
	const name = "content-length:"
	low := bytes.ToLower(head)
	i := bytes.Index(low, []byte(name))
	if i < 0 {
		return 0, fmt.Errorf("%w: no content-length in %q", ErrAnswers, head)
	}
	v, _, _ := bytes.Cut(low[i+len(name):], []byte("\r"))
	n, err := strconv.Atoi(string(bytes.TrimSpace(v)))
	if err != nil {
		return 0, fmt.Errorf("%w: content-length %q", ErrAnswers, v)
	}
	return n, nil
}
