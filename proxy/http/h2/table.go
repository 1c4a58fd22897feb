package h2

// table is the open streams of a connection by number: chains in buckets, since
// numbers follow each other and a map's hashing would cost more than the rest.
type table struct {
	buckets []*Stream // a power of two
	n       int
}

// smallTable is what a connection with few streams has.
const smallTable = 8

func (t *table) bucket(id uint32) **Stream { return &t.buckets[id>>1&uint32(len(t.buckets)-1)] }

func (t *table) get(id uint32) *Stream {
	if t.n == 0 {
		return nil
	}
	s := *t.bucket(id)
	for s != nil && s.id != id {
		s = s.chain
	}
	return s
}

func (t *table) put(s *Stream) {
	switch {
	case t.buckets == nil:
		t.buckets = make([]*Stream, smallTable)
	case t.n >= len(t.buckets):
		t.resize(2 * len(t.buckets))
	}
	b := t.bucket(s.id)
	s.chain, *b = *b, s
	t.n++
}

// take removes s; it is false where s is not in the table.
func (t *table) take(s *Stream) bool {
	if t.n == 0 {
		return false
	}
	for p := t.bucket(s.id); *p != nil; p = &(*p).chain {
		if *p == s {
			*p, s.chain = s.chain, nil
			t.n--
			return true
		}
	}
	return false
}

func (t *table) resize(n int) {
	old := t.buckets
	t.buckets = make([]*Stream, n)
	for _, s := range old {
		for s != nil {
			next := s.chain
			b := t.bucket(s.id)
			s.chain, *b = *b, s
			s = next
		}
	}
}

// trim gives back what an empty table does not need.
func (t *table) trim() {
	if t.n == 0 && len(t.buckets) > 8*smallTable {
		t.buckets = nil
	}
}

// each calls f for every stream; f may take it out of the table.
func (t *table) each(f func(*Stream)) {
	for _, s := range t.buckets {
		for s != nil {
			next := s.chain
			f(s)
			s = next
		}
	}
}
