package tcp

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
)

// Options of a pipe. The zero value never times out.
type Options struct {
	// Idle is how long both directions may be silent; 0 is for ever.
	Idle time.Duration
	// OnBytes, when set, is told of bytes as they are passed on, from both
	// directions at once. It must not block.
	OnBytes func(aToB, bToA int)
}

// Pipe carries bytes both ways until both ends have closed, one fails, the
// pipe is idle for too long (ErrIdle) or ctx ends. A half-close of one side is
// passed to the other; a failure resets the other side. Both connections are
// closed when Pipe returns. Bytes that are already buffered in a or b go first.
//
// Each direction is one goroutine that reads only when what it read before has
// been taken by the other side, so that a slow reader slows its writer down.
func Pipe(ctx context.Context, a, b *conn.Conn, o Options) (aToB, bToA int64, err error) {
	a.SetDuplex()
	b.SetDuplex()
	p := &pipe{a: a, b: b}
	stop := context.AfterFunc(ctx, func() { p.fail(context.Cause(ctx)) })
	defer stop()
	defer WatchIdle(o.Idle, &p.moved, p.fail)()
	var wg sync.WaitGroup
	wg.Go(func() {
		bToA = p.copy(a, b, func(n int) {
			if o.OnBytes != nil {
				o.OnBytes(0, n)
			}
		})
	})
	aToB = p.copy(b, a, func(n int) {
		if o.OnBytes != nil {
			o.OnBytes(n, 0)
		}
	})
	wg.Wait()
	a.Close()
	b.Close()
	a.Free()
	b.Free()
	return aToB, bToA, p.cause()
}

type pipe struct {
	a, b  *conn.Conn
	moved atomic.Uint64 // grows with each piece

	mu  sync.Mutex
	err error // the first one
}

func (p *pipe) cause() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// fail ends both directions at once: whoever waits for either end is told by a
// reset that bytes are missing.
func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		// Each may have to wait for a direction that only the other's end wakes.
		var wg sync.WaitGroup
		wg.Go(p.a.Abort)
		p.b.Abort()
		wg.Wait()
	}
}

// copy carries one direction to its end.
func (p *pipe) copy(dst, src *conn.Conn, count func(int)) (n int64) {
	var failed error // of the writing side
	err := src.Each(func() error {
		for len(src.Buffered()) > 0 {
			m, err := dst.WriteFrom(src)
			if err == nil {
				err = dst.Flush()
			}
			if err != nil {
				failed = err
				return err
			}
			n += int64(m)
			p.moved.Add(1)
			count(m)
		}
		return nil
	})
	if failed == nil && errors.Is(err, io.EOF) {
		err = dst.CloseWrite()
	}
	if err != nil {
		p.fail(err)
	}
	return n
}
