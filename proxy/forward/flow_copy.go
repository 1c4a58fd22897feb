package forward

import (
	"errors"
	"io"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// send carries what the connection says.
func (r *relayed) send() error {
	var failed error
	err := r.c.Each(func() error {
		failed = r.pieces()
		return failed
	})
	switch {
	case failed != nil:
		return failed
	case !errors.Is(err, io.EOF):
		return err
	case r.left:
		return r.own.Load().CloseWrite()
	}
	if err := r.s.End(); err != nil {
		return lost(err)
	}
	return nil
}

// pieces sends what is at hand.
func (r *relayed) pieces() error {
	for {
		p := r.c.Buffered()
		if len(p) == 0 {
			return nil
		}
		own := r.own.Load()
		if own != nil && !r.left {
			// What comes now comes elsewhere.
			if err := r.s.WriteTrailers(goesOn); err != nil {
				return lost(err)
			}
			r.left = true
		}
		var n int
		var err error
		if own != nil {
			if n, err = own.WriteFrom(r.c); err == nil {
				err = own.Flush()
			}
		} else {
			if n, err = r.s.Write(p); err != nil {
				err = lost(err)
			}
			r.c.Discard(n)
			r.weigh(len(p))
		}
		if err != nil {
			return err
		}
		r.count(n, true)
	}
}

// receive carries what the peer says.
func (r *relayed) receive() error {
	for {
		p, err := r.s.Next()
		if err == io.EOF { //nolint:errorlint // a lost connection is not the end
			break
		}
		if errors.Is(err, h2.ErrInterrupted) {
			continue // by whom it was asked for its first word
		}
		if err != nil {
			return lost(err)
		}
		if _, err = r.c.Write(p); err != nil {
			return err
		}
		r.count(len(p), false)
		r.weigh(len(p))
		r.s.Consume(len(p))
		if more, _ := r.s.Peek(); len(more) == 0 {
			if err = r.c.Flush(); err != nil {
				return err
			}
		}
	}
	if err := r.c.Flush(); err != nil {
		return err
	}
	if !isGoesOn(r.s.Trailers()) {
		return r.c.CloseWrite()
	}
	own, err := r.elsewhere()
	if err != nil {
		return err
	}
	return r.receiveFrom(own)
}

// receiveFrom carries what the peer says on a connection of its own.
func (r *relayed) receiveFrom(own *conn.Conn) error {
	var failed error
	err := own.Each(func() error {
		for len(own.Buffered()) > 0 {
			n, err := r.c.WriteFrom(own)
			if err == nil {
				err = r.c.Flush()
			}
			if err != nil {
				failed = err
				return err
			}
			r.count(n, false)
		}
		return nil
	})
	if failed == nil && errors.Is(err, io.EOF) {
		return r.c.CloseWrite()
	}
	return err
}
