package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"
)

// NewTLS wraps a TLS connection that was made on top of under by other means
// than Server and Client. It then holds a buffer while it waits.
func NewTLS(under *Conn, t *tls.Conn) *Conn {
	c := &Conn{nc: under.nc, under: under, tls: t, want: classRead}
	if tr, ok := t.NetConn().(*transport); ok && tr.Conn == under {
		c.rec, under.below = tr, true
	}
	return c
}

// TLS returns the state of the TLS session, or nil for plaintext. The caller must
// not change it.
func (c *Conn) TLS() *tls.ConnectionState {
	if c.own != nil {
		return &c.own.state
	}
	if c.tls == nil {
		return nil
	}
	s := c.tls.ConnectionState()
	return &s
}

// transport is what crypto/tls sees of the encrypted connection. It hands out
// one record at a time, so that crypto/tls never holds bytes that a wait for
// the socket would miss.
type transport struct {
	*Conn
	hdr  [5]byte
	hn   int  // bytes of the header seen
	left int  // bytes of the record's body to come
	poll bool // do not wait; answer errAgain

	// Once records are no longer crypto/tls's, what it writes is kept, not sent,
	// and what it reads is fed to it.
	taken bool
	kept  []byte
	feed  []byte
}

// again is an error after which crypto/tls can go on.
type again struct{}

func (again) Error() string   { return "conn: no record at hand" }
func (again) Timeout() bool   { return true }
func (again) Temporary() bool { return true }

var errAgain net.Error = again{}

func (t *transport) Write(p []byte) (int, error) {
	if t.taken {
		t.kept = append(t.kept[:0], p...)
		return len(p), nil
	}
	return t.Conn.Write(p)
}

func (t *transport) Read(p []byte) (int, error) {
	if t.taken {
		if len(t.feed) == 0 {
			t.feed = nil
			return 0, errAgain
		}
		n := copy(p, t.feed)
		t.feed = t.feed[n:]
		return n, nil
	}
	c := t.Conn
	if c.r == c.w {
		if t.poll {
			return 0, errAgain
		}
		if err := c.fill(false); err != nil {
			return 0, err
		}
	}
	n := t.upToRecord(c.in.b[c.r:c.w], len(p))
	copy(p, c.in.b[c.r:c.r+n])
	c.r += n
	return n, nil
}

// upToRecord returns how many of b belong to the current record, max at most.
func (t *transport) upToRecord(b []byte, max int) int {
	b = b[:min(len(b), max)]
	n := 0
	for n < len(b) {
		if t.left > 0 {
			m := min(t.left, len(b)-n)
			t.left -= m
			n += m
			if t.left == 0 {
				break
			}
			continue
		}
		t.hdr[t.hn] = b[n]
		t.hn++
		n++
		if t.hn == len(t.hdr) {
			t.hn = 0
			t.left = int(t.hdr[3])<<8 | int(t.hdr[4])
			if t.left == 0 {
				break
			}
		}
	}
	return n
}

// fillTLS waits for encrypted bytes first and takes a buffer for the decrypted
// ones when there are some.
func (c *Conn) fillTLS(skip bool) error {
	if c.inErr != nil {
		return c.inErr
	}
	if err := c.room(record); err != nil {
		return err
	}
	if c.rec == nil {
		return c.fillForeign()
	}
	for {
		if c.under.r == c.under.w {
			if err := c.flushForFill(); err != nil {
				return err
			}
			c.Release()
			if err := c.under.fill(skip); err != nil {
				if errors.Is(err, io.EOF) {
					err = io.ErrUnexpectedEOF
				}
				return err
			}
			skip = false
		}
		n, err := c.decrypt()
		c.under.Release()
		if n > 0 {
			if !errors.Is(err, errAgain) {
				c.inErr = err
			}
			return nil
		}
		if err != nil && !errors.Is(err, errAgain) {
			c.Release()
			c.inErr = err
			return err
		}
	}
}

// decrypt takes all whole records at hand that fit.
func (c *Conn) decrypt() (int, error) {
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.in == nil || c.in.class < c.want {
			give(c.in)
			c.in = takeMost(c.want)
		}
	}
	c.rec.poll = true
	defer func() { c.rec.poll = false }()
	total, empty := 0, c.w == 0
	for {
		n, err := c.tls.Read(c.in.b[c.w:])
		c.w += n
		total += n
		if err != nil || c.under.r == c.under.w || len(c.in.b)-c.w < record {
			c.countRead(total)
			if empty && total > 0 {
				c.fitTLS(total)
			}
			return total, err
		}
	}
}

func (c *Conn) fitTLS(total int) {
	switch {
	case c.under.r != c.under.w && c.want < classMax:
		c.want++
	case total < len(c.in.b)/4 && c.want > classRead:
		c.want--
	}
	c.shrink()
}

// fillForeign reads from a tls.Conn that is not on our transport.
func (c *Conn) fillForeign() error {
	if err := c.flushForFill(); err != nil {
		return err
	}
	if c.r == c.w {
		c.Release()
		c.in = take(classRead)
	}
	n, err := c.tls.Read(c.in.b[c.w:])
	c.w += n
	c.countRead(n)
	if n > 0 {
		return nil
	}
	c.Release()
	return err
}

// flushForFill encrypts what was gathered; the wait for the socket sends it.
func (c *Conn) flushForFill() error {
	if c.duplex.Load() || !c.wmu.TryLock() {
		return nil
	}
	defer c.wmu.Unlock()
	if err := c.encrypt(); err != nil && !broken(err) {
		return err
	}
	return nil
}

// encrypt turns gathered plaintext into records below; wmu is held.
func (c *Conn) encrypt() error {
	if c.own != nil {
		return c.sealOut()
	}
	if c.werr != nil {
		return c.werr
	}
	if c.pending() == 0 {
		return nil
	}
	n, err := c.tls.Write(c.out.b[:c.n])
	c.countWritten(n)
	c.drop()
	c.werr = err
	return err
}

// writeLarge takes what does not fit into the record being gathered; wmu is held.
func (c *Conn) writeLarge(p []byte) (int, error) {
	if err := c.encrypt(); err != nil {
		return 0, err
	}
	if len(p) < record/2 {
		c.ensureOut(len(p))
		c.n += copy(c.out.b[c.n:], p)
		return len(p), nil
	}
	c.drop() // taken in vain
	if c.own != nil {
		return c.sealAll(p, false)
	}
	n, err := c.tls.Write(p)
	c.countWritten(n)
	c.werr = err
	return n, err
}

// closeTLS sends what is pending and close_notify if that can be done without
// waiting, and closes.
func (c *Conn) closeTLS() error {
	if c.wmu.TryLock() {
		defer c.wmu.Unlock()
		if c.under.wmu.TryLock() {
			c.under.wmu.Unlock()
			// From here on nothing blocks for long: a peer that does not read
			// has the deadline to do so.
			_ = c.nc.SetWriteDeadline(time.Now().Add(closeWait))
			_ = c.encrypt()
			_ = c.tls.CloseWrite()
			c.drop()
			if c.werr == nil {
				c.werr = net.ErrClosed
			}
		}
	}
	return c.under.Close()
}

// aliveTLS looks below; records that have arrived may be mere session tickets.
func (c *Conn) aliveTLS() bool {
	if c.under.Alive() {
		return true
	}
	if c.rec == nil && c.own == nil || c.under.closed.Load() {
		return false
	}
	if c.own == nil || !c.own.waiting(c.under) {
		if c.own == nil && c.under.r != c.under.w {
			// Records are at hand.
		} else if c.under.rc == nil || !c.under.readableNow() || c.under.fill(false) != nil {
			return false
		}
	}
	var n int
	var err error
	if c.own != nil {
		n, err = c.open()
	} else {
		n, err = c.decrypt()
		if errors.Is(err, errAgain) {
			err = nil
		}
	}
	c.under.Release()
	if n == 0 && err == nil {
		c.Release()
		return c.under.Alive()
	}
	if err != nil {
		c.inErr = err // it was taken off the wire, and will not be found there again
	}
	return false
}
