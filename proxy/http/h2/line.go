package h2

// turnMost is how much a writer takes of the connection's window before others
// that wait for it have their turn, in bytes.
const turnMost = 64 << 10

// line is the writers that wait for something that all streams share, in the
// order in which they came. One at a time has its turn: it takes what it needs,
// and passes the turn on while there is more. So no more writers are woken than
// can go on, and none is overtaken for ever. The connection's lock guards it.
type line struct {
	list []*Stream
	turn *Stream // it is not in the list any more
}

// before says whether somebody is before s.
func (l *line) before(s *Stream) bool { return l.turn != s && (l.turn != nil || len(l.list) > 0) }

// next wakes the first one, unless somebody has the turn.
func (l *line) next() {
	if l.turn != nil || len(l.list) == 0 {
		return
	}
	s := l.list[0]
	l.remove(s)
	l.turn = s
	s.wakeWrite()
}

func (l *line) remove(s *Stream) {
	for i, x := range l.list {
		if x == s {
			n := i + copy(l.list[i:], l.list[i+1:])
			l.list[n] = nil
			l.list = l.list[:n]
			break
		}
	}
	s.queued = nil
}

// pass ends the turn of whoever has it.
func (c *mux) pass(l *line) {
	l.turn = nil
	if l == &c.credit && c.sendAvail > 0 || l == &c.space && len(c.out) < c.most {
		l.next()
	}
}

// waitFor waits in a line, at its end unless the writer is in it. mu is held, and
// free meanwhile. Whoever returns to its caller behind it must leave.
func (s *Stream) waitFor(l *line) {
	c := s.c
	s.lined = true
	if s.queued != l {
		if s.queued != nil {
			s.queued.remove(s)
		}
		s.queued = l
		l.list = append(l.list, s)
	}
	if l == &c.credit && c.space.turn == s {
		c.pass(&c.space) // others need no credit
	}
	if l.turn == s {
		if c.pass(l); l.turn == s {
			return
		}
	}
	s.waitWrite()
}

// leave takes the writer out of the lines, and ends its turns. mu is held.
func (s *Stream) leave() {
	if !s.lined {
		return
	}
	c := s.c
	s.lined = false
	if s.queued != nil {
		s.queued.remove(s)
	}
	if c.credit.turn == s {
		c.pass(&c.credit)
	}
	if c.space.turn == s {
		c.pass(&c.space)
	}
}
