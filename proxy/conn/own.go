package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"sync/atomic"
)

// errEnded is a write behind CloseWrite.
var errEnded = errors.New("conn: write after the sending direction was closed")

// errUseless is a peer that sends records without content again and again.
var errUseless = errors.New("conn: too many TLS records without application data")

const (
	// maxUseless is how many records without application data may follow each
	// other.
	maxUseless = 16
	// maxMessage bounds a handshake message behind the handshake.
	maxMessage = 64 << 10

	msgNewSessionTicket = 4
	msgKeyUpdate        = 24
)

// own is what a connection needs whose records are protected here.
type own struct {
	in    *half // belongs to the reading side
	out   *half // guarded by the connection's wmu
	state tls.ConnectionState

	client  bool
	hand    []byte // a handshake message that is not complete
	useless int
	tickets *ticketFeed // nil where tickets are of no use

	owes  atomic.Bool // the peer asked for new keys of ours
	ended bool        // close_notify was sent
}

// waiting says whether a whole record, or one that is wrong, is at hand.
func (o *own) waiting(under *Conn) bool {
	_, ok, err := whole(under.Buffered())
	return ok || err != nil
}

// fillOwn waits for encrypted bytes first and takes a buffer for the decrypted
// ones when there are some.
func (c *Conn) fillOwn(skip bool) error {
	if c.inErr != nil {
		return c.inErr
	}
	if err := c.room(maxSealed); err != nil {
		return err
	}
	for {
		n, err := c.open()
		if n > 0 {
			c.inErr = err
			c.under.Release()
			return nil
		}
		if err != nil {
			c.inErr = err
			c.Release()
			return err
		}
		if err := c.flushForFill(); err != nil {
			return err
		}
		c.Release()
		c.under.roomForRecord()
		if err := c.under.fill(skip); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		skip = false
	}
}

// roomForRecord makes space for the rest of a record that has begun, and for as
// much behind it as the traffic asks for.
func (c *Conn) roomForRecord() {
	held := c.w - c.r
	if held == 0 {
		return
	}
	need := recordHead
	if held >= recordHead {
		n, _, err := whole(c.in.b[c.r:c.w])
		if err != nil {
			return
		}
		need = n
	}
	to := c.in
	switch {
	case len(c.in.b) < need:
		to = take(classFor(need, c.in.class+1))
	case c.want > c.in.class:
		if to = takeMost(c.want); to.class <= c.in.class {
			give(to)
			to = c.in
		}
	}
	if to == c.in && c.r == 0 {
		return
	}
	copy(to.b, c.in.b[c.r:c.w])
	if to != c.in {
		give(c.in)
		c.in = to
	}
	c.r, c.w = 0, held
}

// open takes all whole records at hand that fit. An error stands behind what it
// returns.
func (c *Conn) open() (total int, err error) {
	u, o := c.under, c.own
	empty := c.r == c.w
	for err == nil {
		rec := u.Buffered()
		n, ok, bad := whole(rec)
		if bad != nil {
			err = c.refuse(bad)
			break
		}
		if !ok {
			break
		}
		if c.r == c.w {
			c.r, c.w = 0, 0
			if c.in == nil || c.in.class < c.want {
				give(c.in)
				c.in = takeMost(c.want)
			}
		}
		if len(c.in.b)-c.w < n-recordHead {
			break
		}
		m, kind, bad := o.in.open(c.in.b[c.w:], rec[:n])
		u.r += n
		if bad == nil && kind == typeApplication && m > 0 && len(o.hand) == 0 {
			c.w += m
			total += m
			o.useless = 0
			continue
		}
		if bad == nil {
			bad = o.other(kind, c.in.b[c.w:c.w+m])
		}
		if bad != nil {
			err = c.refuse(bad)
		}
	}
	if total > 0 {
		c.countRead(total)
		if empty {
			c.fitTLS(total)
		}
	}
	return total, err
}
