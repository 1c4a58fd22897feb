package forward

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/upstream"
)

// uploadStall is how long a body may make no progress after the response is
// complete.
const uploadStall = 2 * time.Second

// upload sends a request's body while the response may already come. A nil
// upload is one that has finished well: the body went with the head.
type upload struct {
	down *conn.Conn
	up   *upstream.HTTP1
	n    atomic.Int64 // content sent
	read atomic.Bool  // the client has sent all of it
	err  error        // valid when done is closed
	lost bool         // the client's side failed; valid when done is closed
	done chan struct{}
}

// upload begins to send. From now on both connections are read and written by
// different goroutines.
func (s *http1) upload(up *upstream.HTTP1, in h1.Framing) *upload {
	s.duplex, up.Duplex = true, true
	s.c.SetDuplex()
	up.SetDuplex()
	u := &upload{down: s.c, up: up, done: make(chan struct{})}
	go func() {
		defer close(u.done)
		defer func() {
			if p := recover(); p != nil {
				u.err = fmt.Errorf("internal error: %v", p)
				s.d.Log.Error("request body: internal error", "panic", p)
				up.Abort()
			}
		}()
		u.run(in)
	}()
	return u
}

func (u *upload) run(in h1.Framing) {
	// The head goes at once: the peer may want to say 100, or no.
	if u.err = u.up.Flush(); u.err != nil {
		return
	}
	var r h1.Reader
	var w h1.Writer
	r.Reset(u.down, in)
	w.Reset(u.up.Conn, in)
	for {
		p, err := r.Next()
		if errors.Is(err, io.EOF) {
			u.read.Store(true)
			break
		}
		if err != nil {
			u.err, u.lost = err, true
			u.up.Abort()
			return
		}
		if _, u.err = w.Write(p); u.err != nil {
			return
		}
		u.n.Add(int64(len(p)))
		if !r.Ready() {
			if u.err = u.up.Flush(); u.err != nil {
				return
			}
		}
	}
	if u.err = w.Close(filter.RequestTrailers(r.Trailers())); u.err == nil {
		u.err = u.up.Flush()
	}
}

// complete says whether the client has sent all of the body: only then can
// another request follow.
func (u *upload) complete() bool { return u == nil || u.read.Load() }

// finished says whether all was sent.
func (u *upload) finished() bool {
	if u == nil {
		return true
	}
	select {
	case <-u.done:
		return u.err == nil
	default:
		return false
	}
}

// stop ends the upload, whose upstream connection has been aborted, and says
// whether the client was the one that failed. Whatever it has not sent stays
// unread.
func (u *upload) stop() (lost bool) {
	if u == nil {
		return false
	}
	select {
	case <-u.done:
		return u.lost
	default:
	}
	u.down.SetReadDeadline(time.Unix(1, 0))
	<-u.done
	u.down.SetReadDeadline(time.Time{})
	return u.lost && !isTimeout(u.err)
}

// finish waits after the response for as long as the body moves, and says
// whether all of it was sent.
func (u *upload) finish(down *conn.Conn, up *upstream.HTTP1) bool {
	if u == nil {
		return true
	}
	if !u.finished() {
		_ = down.Flush() // a client that has gone ends the upload too
	}
	t := time.NewTicker(uploadStall)
	defer t.Stop()
	for last := u.n.Load(); ; {
		select {
		case <-u.done:
			return u.err == nil
		case <-t.C:
		}
		n := u.n.Load()
		if n == last {
			up.Abort()
			u.stop()
			return false
		}
		last = n
	}
}

func isTimeout(err error) bool {
	t, ok := err.(interface{ Timeout() bool })
	return ok && t.Timeout()
}
