package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
)

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
