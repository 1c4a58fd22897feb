package h2

// acknowledger is a Transport that knows how much has reached the peer.
type acknowledger interface {
	// Acknowledged is up to where, counted as Taken counts, the peer's system has
	// what was sent; ok is false where that is unknown.
	Acknowledged() (n uint64, ok bool)
}

// batches are the last few writes of a client that had heads of new streams
// among them.
type batches struct {
	last [4]struct {
		at     uint64 // where it begins, as Taken counts
		before uint32 // the last stream before it
	}
	n int
}

func (b *batches) note(at uint64, before uint32) {
	l := &b.last[b.n%len(b.last)]
	l.at, l.before = at, before
	b.n++
}

// recall takes back streams whose heads have crossed the peer's FIN: that
// acknowledges all that the peer ever got, and what lies behind it is not read
// any more. mu is held.
func (c *mux) recall() {
	t, ok := c.t.(acknowledger)
	if !ok || !c.client || c.recent.n == 0 {
		return
	}
	got, ok := t.Acknowledged()
	if !ok {
		return
	}
	for i := range min(c.recent.n, len(c.recent.last)) {
		if l := c.recent.last[i]; l.at >= got {
			c.handed = min(c.handed, l.before)
		}
	}
}
