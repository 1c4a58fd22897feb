package app

import (
	"net"
	"sync/atomic"
)

// each runs serve on every connection until the listener ends.
func each(l net.Listener, serve func(net.Conn)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

func serveEcho(l net.Listener, count *atomic.Uint64) error {
	return each(l, func(c net.Conn) {
		buf := make([]byte, 16<<10)
		part := 0
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			part += n
			count.Add(uint64(part / Small))
			part %= Small
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	})
}

func serveBulk(l net.Listener, count *atomic.Uint64) error {
	block := make([]byte, Large)
	return each(l, func(c net.Conn) {
		buf := make([]byte, 64)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			for range n {
				if _, err := c.Write(block); err != nil {
					return
				}
				count.Add(1)
			}
		}
	})
}
