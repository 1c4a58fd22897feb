package h2

import "time"

// Memory is what the connections of a process share, which together must not
// hold too much for readers that are behind.
type Memory interface {
	// Window is how much of a normal bound of n bytes may be held now.
	Window(n int) int
	// Hold counts n more bytes that are held, or fewer.
	Hold(n int)
	// Carry counts n more bytes that open streams take besides, or fewer.
	Carry(n int)
	// Admit says whether a connection whose streams take n bytes may have another.
	Admit(n int) bool
}

const (
	// holdStep is how exactly Memory is told what a connection holds, in bytes.
	holdStep = 32 << 10
	// lookAgain is how soon a connection that is kept short looks whether it may
	// hold more by now: nothing else may happen on it meanwhile.
	lookAgain = time.Second
	// leastWindow is what a stream needs to get on at all: one frame.
	leastWindow = minFrameSize
	// stalledWindow is what a stream begins with where a connection holds much
	// already; it grows to leastWindow for a reader that keeps up.
	stalledWindow = 4 << 10
)

// squeeze is what may be received at the moment. The connection's lock guards it.
//
// The window of streams changes by SETTINGS, for open ones too. It is in force
// once the peer has acknowledged that: what it sends before, it sends by the old
// one (RFC 9113, section 6.9.2).
type squeeze struct {
	window   int32 // of a new stream, as is in force
	asked    int32 // as was sent
	level    int32 // as Memory allows
	settling bool  // SETTINGS of this side are not acknowledged
	conn     int64 // the connection's window
	bound    int   // of what all streams hold; see full
	holders  int   // streams that hold something
	grown    int64 // what windows of streams have grown by
	told     int   // what Memory was told that they hold
	again    *time.Timer
	looking  bool // again runs
}

func newSqueeze(o *Options) squeeze {
	w := o.Window
	if o.Memory != nil {
		// Before it has seen ours, a peer keeps to the protocol's default.
		w = max(defaultWindow, min(w, int32(o.Memory.Window(int(w)))))
	}
	return squeeze{window: w, asked: w, level: o.Window, settling: true, conn: int64(o.ConnWindow), bound: o.MaxBuffered}
}

// gauge looks at how much may be held, and has the peer told where that has
// changed: of less at once, of more after a while, so that it is not told again
// and again. mu is held.
func (c *mux) gauge() {
	if c.o.Memory != nil && !c.ended {
		c.gaugeNow(false)
	}
}

func (c *mux) gaugeNow(more bool) {
	q := &c.squeeze
	if w := min(c.o.Window, int32(c.o.Memory.Window(int(c.o.Window)))); w != q.level {
		q.level = w
		q.bound = int(c.share(int64(c.o.MaxBuffered)))
	}
	w := q.level
	switch {
	// Long before nothing more is taken from the peer, every stream gets less of
	// what is left: those that are read still get on.
	case c.buffered >= q.bound/4*3:
		w = min(w, stalledWindow)
	case c.buffered >= q.bound/2:
		w = max(min(w, leastWindow), w/4)
	}
	switch {
	case w == q.asked || q.settling:
	case w > q.asked && !more:
		c.lookLater()
	default:
		q.asked, q.settling = w, true
		c.room(controlFrame)
		c.out = appendSettings(c.out, [2]uint32{setInitialWindow, uint32(w)})
		c.kick(false)
	}
}

// share is the part of a normal bound that may be used. mu is held.
func (c *mux) share(n int64) int64 { return n * int64(c.squeeze.level) / int64(c.o.Window) }

// settled notes that the peer has acknowledged SETTINGS. mu is held.
func (c *mux) settled() {
	q := &c.squeeze
	if !q.settling {
		return
	}
	q.settling = false
	if d := q.asked - q.window; d != 0 {
		q.window = q.asked
		c.open.each(func(s *Stream) {
			s.recv += d
			s.window += d
			// Of the smaller window what was consumed may be all.
			s.giveBack(0)
		})
	}
	c.gauge()
	c.giveConn()
}

// exceeded says whether the peer has sent more than the stream's window. One that
// had begun to send when the window became smaller is forgiven: not all of them
// do both in one step. mu is held.
func (s *Stream) exceeded() bool { return s.recv < s.c.squeeze.window-s.c.o.Window }

// full says whether the connection's window is not given back, because too much
// lies unread. Above the bound it still is once the smallest window is in force:
// each stream whose reader is behind then adds a little and no more, and those
// whose readers keep up must not wait for it. Only a peer that does not keep to
// its windows gets further, and is stopped by this. mu is held.
func (c *mux) full() bool {
	q := &c.squeeze
	most := q.bound
	if q.window <= stalledWindow {
		most += int(q.conn+q.grown) + (q.holders+1)*c.stalled()
	}
	return c.buffered >= most
}

// stalled is what the window of a stream may grow to while the connection holds
// much. mu is held.
func (c *mux) stalled() int {
	if c.squeeze.level < c.o.Window {
		return stalledWindow // memory is short
	}
	return leastWindow
}

// hold counts n more bytes that lie unread. mu is held.
func (c *mux) hold(n int) {
	c.buffered += n
	if c.o.Memory == nil {
		return
	}
	q := &c.squeeze
	if d := c.buffered - q.told; d >= holdStep || d <= -holdStep || d != 0 && c.buffered == 0 {
		q.told = c.buffered
		c.o.Memory.Hold(d)
	}
}

// unbuffer notes that n bytes are no longer held for streams. mu is held.
func (c *mux) unbuffer(n int) {
	if n > 0 {
		c.hold(-n)
		c.gauge()
		c.giveConn()
	}
}

// giveConn gives the connection's window back by halves, unless too much lies
// unread. mu is held.
func (c *mux) giveConn() {
	q := &c.squeeze
	if c.ended || c.unacked < q.conn/2 && (q.conn == int64(c.o.ConnWindow) || q.level != c.o.Window) {
		return // but a window that was made smaller becomes larger without more traffic
	}
	if c.full() {
		if q.level < c.o.Window {
			c.lookLater()
		}
		return
	}
	if q.conn != int64(c.o.ConnWindow) || q.level != c.o.Window {
		// The window becomes smaller by what is not given back of it.
		d := max(max(defaultWindow, c.share(int64(c.o.ConnWindow)))-q.conn, -c.unacked)
		q.conn += d
		if c.unacked += d; c.unacked < q.conn/2 {
			return
		}
	}
	c.room(controlFrame)
	c.out = appendWindowUpdate(c.out, 0, uint32(c.unacked))
	c.recvAvail += c.unacked
	c.unacked = 0
	c.kick(false)
}

// lookLater has look called. mu is held.
func (c *mux) lookLater() {
	q := &c.squeeze
	switch {
	case q.looking:
		return
	case q.again == nil:
		q.again = time.AfterFunc(lookAgain, c.look)
	default:
		q.again.Reset(lookAgain)
	}
	q.looking = true
}

func (c *mux) look() {
	defer c.guard()
	c.mu.Lock()
	defer c.unlock()
	if c.squeeze.looking = false; !c.ended {
		c.gaugeNow(true)
		c.giveConn()
	}
}

// largestWindow is what a stream's window may grow to between two of our
// proxies, for a reader that keeps up.
func largestWindow(first int32) int32 { return 4 * first }

// giveBack gives the stream's window back by halves. mu is held.
func (s *Stream) giveBack(n int) {
	c := s.c
	q := &c.squeeze
	s.unacked += int32(n)
	if s.remoteEnd || s.err != nil {
		return
	}
	relaxed := q.asked == c.o.Window
	if over := s.window - max(q.window, leastWindow); over > 0 && !relaxed {
		// It had grown: what it is above others is not given back.
		over = min(over, s.unacked)
		s.window -= over
		s.unacked -= over
		s.ungrow(over)
	}
	if s.unacked < s.window/2 {
		return
	}
	if s.in.size == 0 {
		// The reader keeps up, and waits for the peer.
		switch {
		case !relaxed:
			if s.window < int32(c.stalled()) {
				s.unacked += s.window
				s.window *= 2
			}
		case c.o.Plain && s.window < largestWindow(c.o.Window) && q.grown < int64(c.o.ConnWindow):
			s.grown += s.window
			q.grown += int64(s.window)
			s.unacked += s.window
			s.window *= 2
		}
	}
	c.room(controlFrame)
	c.out = appendWindowUpdate(c.out, s.id, uint32(s.unacked))
	s.recv += s.unacked
	s.unacked = 0
	c.kick(false)
}

// ungrow notes that the stream's window is n less above others. mu is held.
func (s *Stream) ungrow(n int32) {
	n = min(n, s.grown)
	s.grown -= n
	s.c.squeeze.grown -= int64(n)
}
