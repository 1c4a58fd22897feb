package conn

// OnEnd has f called once when the connection is closed on this side, by
// whoever closes it; at once where that has happened. It must not block. What was
// set before is called too, and first.
func (c *Conn) OnEnd(f func()) {
	for {
		old := c.ended.Load()
		g := f
		if old != nil {
			first := *old
			g = func() { first(); f() }
		}
		if c.ended.CompareAndSwap(old, &g) {
			break
		}
	}
	if c.closed.Load() {
		c.over()
	}
}
