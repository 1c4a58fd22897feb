package app

import (
	"bytes"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Sizes of the two answers.
const (
	Small = 1 << 10
	Large = 1 << 20
)

func answer(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Type: application/json; charset=utf-8\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\n"+
		"Cache-Control: no-cache\r\nX-App-Version: 1.2.3\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
}

// httpConn is one connection of the HTTP/1.1 server.
type httpConn struct {
	in   []byte // an incomplete head
	out  []byte // what the socket has not taken yet, a part of an answer
	next [][]byte
	poll uint32
}

// httpServer answers from one epoll loop, since the application's own cost
// only takes CPU from what is measured.
type httpServer struct {
	kept            []any // their descriptors would be closed if nobody had them
	epoll, listener int
	conns           map[int]*httpConn
	small, large    []byte
	count           *atomic.Uint64
	buf             []byte
}

// serveHTTP serves until the process ends.
func serveHTTP(l *net.TCPListener, count *atomic.Uint64) error {
	runtime.LockOSThread()
	f, err := l.File()
	if err != nil {
		return err
	}
	s := &httpServer{kept: []any{l, f}, listener: int(f.Fd()), conns: map[int]*httpConn{}, small: answer(Small), large: answer(Large), count: count, buf: make([]byte, 1<<16)}
	if err := unix.SetNonblock(s.listener, true); err != nil {
		return err
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if err := s.watch(unix.EPOLL_CTL_ADD, s.listener, unix.EPOLLIN); err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("wait for events: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			if fd := int(e.Fd); fd == s.listener {
				s.accept()
			} else if !s.ready(fd, s.conns[fd], e.Events) {
				delete(s.conns, fd)
				_ = unix.Close(fd) // nothing is lost: the connection is over
			}
		}
	}
}

func (s *httpServer) watch(op, fd int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (s *httpServer) accept() {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // slower without, no more
		if s.watch(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN) != nil {
			_ = unix.Close(fd)
			continue
		}
		s.conns[fd] = &httpConn{poll: unix.EPOLLIN}
	}
}

// ready serves a connection; false ends it.
func (s *httpServer) ready(fd int, c *httpConn, events uint32) bool {
	if c == nil {
		return false
	}
	if events&unix.EPOLLOUT != 0 && !s.flush(fd, c) {
		return false
	}
	if events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 {
		return true
	}
	n, err := unix.Read(fd, s.buf)
	if err == unix.EAGAIN {
		return true
	}
	if n <= 0 || err != nil {
		return false
	}
	in := s.buf[:n]
	if len(c.in) > 0 {
		c.in = append(c.in, in...)
		in = c.in
	}
	for {
		end := bytes.Index(in, []byte("\r\n\r\n"))
		if end < 0 {
			break
		}
		a := s.small
		if bytes.HasPrefix(in, []byte("GET /1m")) {
			a = s.large
		}
		in = in[end+4:]
		s.count.Add(1)
		c.next = append(c.next, a)
	}
	c.in = append(c.in[:0], in...)
	return len(c.in) < 1<<16 && s.flush(fd, c)
}

// flush writes as much as the socket takes and waits for room if that is not all.
func (s *httpServer) flush(fd int, c *httpConn) bool {
	for {
		if len(c.out) == 0 {
			if len(c.next) == 0 {
				break
			}
			c.out, c.next = c.next[0], c.next[1:]
			if len(c.next) == 0 {
				c.next = nil
			}
		}
		n, err := unix.Write(fd, c.out)
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			return false
		}
		c.out = c.out[n:]
	}
	want := uint32(unix.EPOLLIN)
	if len(c.out) > 0 {
		want |= unix.EPOLLOUT
	}
	if want == c.poll {
		return true
	}
	c.poll = want
	return s.watch(unix.EPOLL_CTL_MOD, fd, want) == nil
}
