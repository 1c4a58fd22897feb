package conn

import "time"

// Heard is how long ago anything came from the peer's system, be it only the
// acknowledgement of bytes; ok is false where that is unknown.
func (c *Conn) Heard() (ago time.Duration, ok bool) {
	if c.under != nil {
		return c.under.Heard()
	}
	if c.rc == nil {
		return 0, false
	}
	if c.rc.Control(func(fd uintptr) { ago, ok = sysHeard(fd) }) != nil {
		return 0, false
	}
	return ago, ok
}
