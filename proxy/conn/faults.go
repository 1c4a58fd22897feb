package conn

import (
	"sync/atomic"
	"syscall"
)

// Op is a system call that moves bytes.
type Op uint8

// The calls that can be made to fail.
const (
	Reading Op = iota
	Writing
)

// Fault is what becomes of one call. The zero value lets it be.
type Fault struct {
	// Most is how many bytes it moves at most; 0 is as many as it can.
	Most int
	// Errno, when set, is its result instead; EAGAIN says that the socket is not
	// ready, and that the news of its readiness comes late.
	Errno syscall.Errno
}

// Faults makes the system calls of all connections of the process misbehave, and
// counts the buffers that are in use. It is for tests.
type Faults struct {
	// Decide is asked before each call; size is how much it may move.
	Decide func(op Op, size int) Fault
	// Late is called for each EAGAIN, in place of the wait: it returns when the
	// late news of readiness is to arrive. nil is at once.
	Late func()

	buffers atomic.Int64
}

// faults is nil but in tests: production pays one load.
var faults atomic.Pointer[Faults]

// Inject begins to use f, and returns how to stop it. Connections that exist
// already are hit as well.
func (f *Faults) Inject() (stop func()) {
	faults.Store(f)
	return func() { faults.CompareAndSwap(f, nil) }
}

// Buffers is how many buffers were taken and not given back since Inject.
func (f *Faults) Buffers() int64 { return f.buffers.Load() }

// read makes the call that was decided.
func (f *Faults) read(fd uintptr, p []byte, late *bool) (int, syscall.Errno) {
	d := f.decide(Reading, len(p))
	if d.Errno != 0 {
		*late = d.Errno == syscall.EAGAIN
		return -1, d.Errno
	}
	if d.Most > 0 {
		p = p[:min(d.Most, len(p))]
	}
	return sysRead(fd, p)
}

func (f *Faults) write(fd uintptr, iov *[2]syscall.Iovec, a, b []byte, late *bool) (int, syscall.Errno) {
	d := f.decide(Writing, len(a)+len(b))
	if d.Errno != 0 {
		*late = d.Errno == syscall.EAGAIN
		return -1, d.Errno
	}
	if d.Most > 0 {
		a = a[:min(d.Most, len(a))]
		b = b[:min(d.Most-len(a), len(b))]
	}
	return sysWrite(fd, iov, a, b)
}

func (f *Faults) decide(op Op, size int) Fault {
	if f.Decide == nil {
		return Fault{}
	}
	return f.Decide(op, size)
}

// lateNews waits for what a connection that was told EAGAIN in a test waits for.
func lateNews() {
	if f := faults.Load(); f != nil && f.Late != nil {
		f.Late()
	}
}
