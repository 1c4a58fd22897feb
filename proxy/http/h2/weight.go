package h2

const (
	// streamWeight is what a request costs while it is under way, besides what is
	// held of its body, in bytes: two streams, a goroutine and its stack, which
	// grows, and what carries the request.
	streamWeight = 16 << 10
	// weighStep is how exactly Memory is told, in bytes: a connection that has a
	// stream or two never tells.
	weighStep = 48 << 10
)

// headWeight is what a large head costs beyond that: it is kept, and once more
// as it is passed on.
func headWeight(size int) int {
	if size <= keepArena {
		return 0
	}
	return 2 * size
}

// weigh counts n more bytes for the stream. mu is held.
func (s *Stream) weigh(n int) {
	if n == 0 || s.c.o.Memory == nil {
		return
	}
	c := s.c
	s.weight += n
	c.weight += n
	if d := c.weight - c.weighed; d >= weighStep || d <= -2*weighStep || c.weight == 0 && d != 0 {
		c.weighed = c.weight
		c.o.Memory.Carry(d)
	}
}

// admits says whether the peer may open another stream. mu is held.
func (c *mux) admits() bool { return c.o.Memory == nil || c.o.Memory.Admit(c.weight) }
