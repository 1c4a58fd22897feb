package conn

// OnEnd has f called once when the connection is closed on this side, by
// whoever closes it; at once where that has happened. It must not block, and is
// set at most once, by whoever made the connection.
func (c *Conn) OnEnd(f func()) {
	c.ended.Store(&f)
	if c.closed.Load() {
		c.over()
	}
}
