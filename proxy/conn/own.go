package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
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

// other deals with what is no application data. io.EOF is the regular end.
func (o *own) other(kind byte, content []byte) error {
	if o.useless++; o.useless > maxUseless {
		return fmt.Errorf("%w: %w", errUseless, alertUnexpectedMessage)
	}
	if len(o.hand) > 0 && kind != typeHandshake {
		return alertUnexpectedMessage
	}
	switch kind {
	case typeApplication:
		return nil
	case typeAlert:
		if len(content) != 2 {
			return alertDecodeError
		}
		switch a := tls.AlertError(content[1]); a {
		case alertCloseNotify:
			return io.EOF
		case alertUserCanceled:
			return nil // a close_notify follows (section 6.1)
		default:
			return &net.OpError{Op: "remote error", Err: a}
		}
	case typeHandshake:
		if len(content) == 0 {
			return alertUnexpectedMessage
		}
		o.hand = append(o.hand, content...)
		return o.messages()
	}
	return alertUnexpectedMessage
}

// messages deals with the complete handshake messages.
func (o *own) messages() error {
	for len(o.hand) >= 4 {
		n := 4 + (int(o.hand[1])<<16 | int(o.hand[2])<<8 | int(o.hand[3]))
		if n > maxMessage {
			return alertDecodeError
		}
		if len(o.hand) < n {
			return nil
		}
		msg := o.hand[:n]
		o.hand = o.hand[n:]
		switch msg[0] {
		case msgNewSessionTicket:
			if err := o.ticket(msg); err != nil {
				return err
			}
		case msgKeyUpdate:
			// Nothing may stand behind it under the old keys (section 5.1).
			if len(o.hand) > 0 {
				return alertUnexpectedMessage
			}
			if err := o.keyUpdate(msg[4:]); err != nil {
				return err
			}
		default:
			return alertUnexpectedMessage
		}
	}
	if len(o.hand) == 0 {
		o.hand = nil
	}
	return nil
}

func (o *own) ticket(msg []byte) error {
	if !o.client {
		return alertUnexpectedMessage
	}
	f := o.tickets
	if f == nil {
		return nil
	}
	// One is enough, and crypto/tls need not be kept for more.
	o.tickets = nil
	if err := f.give(msg); err != nil {
		return alertDecodeError
	}
	return nil
}

// keyUpdate goes on to the peer's next keys (section 4.6.3). What it asks for
// is done before the next record is sent, so that reading never waits for
// writing.
func (o *own) keyUpdate(body []byte) error {
	if len(body) != 1 {
		return alertDecodeError
	}
	if body[0] > 1 {
		return alertIllegalParameter
	}
	if err := o.in.update(); err != nil {
		return err
	}
	if body[0] == 1 {
		o.owes.Store(true)
	}
	return nil
}

// refuse makes the error of a stream that cannot go on, and tells the peer why.
func (c *Conn) refuse(err error) error {
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	var remote *net.OpError
	if errors.As(err, &remote) {
		return err
	}
	a := alertUnexpectedMessage
	errors.As(err, &a)
	err = &net.OpError{Op: "local error", Net: "tcp", Err: err}
	// Whoever is sending at the moment is not waited for.
	if c.wmu.TryLock() {
		c.alert(a)
		if c.werr == nil {
			c.werr = err
		}
		c.wmu.Unlock()
	}
	return err
}

// alert gathers an alert below, if that can be done without waiting; wmu is held.
func (c *Conn) alert(a tls.AlertError) {
	level := byte(2)
	if a == alertCloseNotify {
		level = 1
	}
	u := c.under
	if c.own.ended || !u.wmu.TryLock() {
		return
	}
	defer u.wmu.Unlock()
	if u.werr != nil {
		return
	}
	const size = recordHead + 2 + recordTail
	u.ensureOut(size)
	if len(u.out.b)-u.n < size {
		return
	}
	b := u.out.b[u.n : u.n+size]
	b[recordHead], b[recordHead+1] = level, byte(a)
	u.n += c.own.out.seal(b, 2, typeAlert)
	c.own.ended = true
}

// sealOut makes a record of what was gathered, in place, and gives its buffer to
// the connection below; wmu is held.
func (c *Conn) sealOut() error {
	if c.werr != nil {
		return c.werr
	}
	n := c.pending()
	if n == 0 {
		return nil
	}
	u := c.under
	u.wmu.Lock()
	defer u.wmu.Unlock()
	if err := c.freshKeys(); err != nil {
		return err
	}
	total := c.own.out.seal(c.out.b, n, typeApplication)
	c.countWritten(n)
	if u.out == nil && u.werr == nil {
		u.out, u.sent, u.n = c.out, 0, total
		c.out, c.sent, c.n = nil, 0, 0
		return nil
	}
	_, err := u.write(c.out.b[:total])
	c.drop()
	c.werr = err
	return err
}

// freshKeys replaces the sending key where that is due; wmu is held, here and
// below.
func (c *Conn) freshKeys() error {
	o := c.own
	if o.out.seq < o.out.limit && !o.owes.Load() {
		return nil
	}
	o.owes.Store(false)
	const size = 5 // msg_type, length, update_not_requested
	b := make([]byte, recordHead+size+recordTail)
	copy(b[recordHead:], []byte{msgKeyUpdate, 0, 0, 1, 0})
	o.out.seal(b, size, typeHandshake)
	_, err := c.under.write(b)
	if err == nil {
		err = o.out.update()
	}
	c.werr = err
	return err
}

// writeOwn takes what does not fit into the record being gathered; wmu is held.
func (c *Conn) writeOwn(p []byte) (int, error) {
	if err := c.sealOut(); err != nil {
		return 0, err
	}
	if len(p) < record/2 {
		c.ensureOut(len(p))
		c.n += copy(c.out.b[c.n:], p)
		return len(p), nil
	}
	c.drop() // taken in vain
	return c.sealAll(p, false)
}

// sealAll makes records of p in the output of the connection below, which sends
// whatever fills a buffer. mine says that p, and one byte behind it if it has
// room for that, may be written to meanwhile; wmu is held.
func (c *Conn) sealAll(p []byte, mine bool) (done int, err error) {
	u := c.under
	u.wmu.Lock()
	defer u.wmu.Unlock()
	for len(p) > 0 {
		if u.werr != nil {
			c.werr = u.werr
			return done, c.werr
		}
		if err := c.freshKeys(); err != nil {
			return done, err
		}
		n := min(len(p), record)
		if u.out != nil && len(u.out.b)-u.n < recordHead+n+recordTail {
			if c.werr = u.send(); c.werr != nil {
				return done, c.werr
			}
		}
		if u.out == nil {
			all := len(p) + (len(p)+record-1)/record*(recordHead+recordTail)
			u.out, u.n, u.sent = takeMost(classFor(all, classRead)), 0, 0
		}
		to := u.out.b[u.n:]
		if mine && cap(p) > n {
			u.n += c.own.out.sealFrom(to, p[:n])
		} else {
			copy(to[recordHead:], p[:n])
			u.n += c.own.out.seal(to, n, typeApplication)
		}
		c.countWritten(n)
		done += n
		p = p[n:]
	}
	return done, nil
}

// endOwn flushes and sends close_notify.
func (c *Conn) endOwn() error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if err := c.sealOut(); err != nil {
		return err
	}
	if !c.own.ended {
		if err := c.under.Flush(); err != nil {
			return err
		}
		c.alert(alertCloseNotify)
	}
	return c.under.Flush()
}

// closeOwn sends what is pending and close_notify as far as the kernel takes it
// at once, and closes.
func (c *Conn) closeOwn() error {
	if c.wmu.TryLock() {
		if c.under.wmu.TryLock() {
			c.under.sendLast()
			quiet := c.under.pending() == 0
			if quiet {
				c.under.drop()
			}
			c.under.wmu.Unlock()
			if quiet {
				_ = c.sealOut()
				c.alert(alertCloseNotify)
			}
		}
		c.drop()
		if c.werr == nil {
			c.werr = net.ErrClosed
		}
		c.wmu.Unlock()
	}
	return c.under.Close()
}
