package h2

import "golang.org/x/net/http2/hpack"

// decoder is HPACK (RFC 7541) for heads that we receive.
type decoder struct {
	t    dynTable
	huff sink
}

func newDecoder() *decoder {
	d := &decoder{}
	d.t.max = tableSize
	return d
}

// sink is where a Huffman-coded string is decoded to.
type sink []byte

func (s *sink) Write(p []byte) (int, error) {
	*s = append(*s, p...)
	return len(p), nil
}

// decode reads a whole block into h. An error ends the connection: the table is
// then not what the peer thinks it is.
func (d *decoder) decode(h *headReader, p []byte) *ConnError {
	for first := true; len(p) > 0; {
		var n uint64
		var ok bool
		b := p[0]
		switch {
		case b&0x80 != 0: // indexed, section 6.1
			if n, p, ok = readInt(p, 7); !ok || !d.indexed(h, n) {
				return errCompression
			}
		case b&0xe0 == 0x20: // size update, section 6.3
			if n, p, ok = readInt(p, 5); !ok || !first || n > tableSize {
				return errCompression
			}
			d.t.setMax(int(n))
			continue
		default:
			bits, add := uint(4), b&0x40 != 0
			if add {
				bits = 6
			}
			if n, p, ok = readInt(p, bits); !ok {
				return errCompression
			}
			if p, ok = d.literal(h, p, n, add); !ok {
				return errCompression
			}
		}
		first = false
	}
	return nil
}

var errCompression = connErr(CodeCompression, "invalid HPACK")

// at returns the table's entry of a dynamic index.
func (d *decoder) at(index uint64) *tableEntry {
	i := index - uint64(len(staticTable))
	if i >= uint64(d.t.len()) {
		return nil
	}
	return d.t.entry(d.t.next - 1 - uint32(i))
}

func (d *decoder) indexed(h *headReader, index uint64) bool {
	if index == 0 {
		return false
	}
	if index < uint64(len(staticTable)) {
		f := &staticTable[index]
		h.field(f.name, f.value)
		return true
	}
	e := d.at(index)
	if e == nil {
		return false
	}
	// One copy for both: the table may drop the entry before the head is read.
	name, value := d.t.bytes(e)
	both := h.keep(name[:len(name)+len(value)])
	name, value = both[:len(name):len(name)], both[len(name):]
	if e.plain {
		h.known(name, value)
	} else {
		h.field(name, value)
	}
	return true
}

// literal reads a field of section 6.2, whose name has that index or, with 0,
// comes first.
func (d *decoder) literal(h *headReader, p []byte, index uint64, add bool) (rest []byte, ok bool) {
	h.rewind()
	var name, value []byte
	switch {
	case index == 0:
		if name, p, ok = d.text(h, p); !ok {
			return nil, false
		}
	case index < uint64(len(staticTable)):
		name = staticTable[index].name
	default:
		e := d.at(index)
		if e == nil {
			return nil, false
		}
		name, _ = d.t.bytes(e)
		name = h.keep(name)
	}
	if value, p, ok = d.text(h, p); !ok {
		return nil, false
	}
	plain := h.field(name, value)
	if add {
		if e := d.t.add(name, value); e != nil {
			e.plain = plain
		}
	}
	return p, true
}

// text reads a string of section 5.2.
func (d *decoder) text(h *headReader, p []byte) (s, rest []byte, ok bool) {
	if len(p) == 0 {
		return nil, nil, false
	}
	coded := p[0]&0x80 != 0
	n, p, ok := readInt(p, 7)
	if !ok || n > uint64(len(p)) {
		return nil, nil, false
	}
	raw := p[:n]
	if coded {
		d.huff = d.huff[:0]
		if _, err := hpack.HuffmanDecode(&d.huff, raw); err != nil {
			return nil, nil, false
		}
		raw = d.huff
	}
	return h.keep(raw), p[n:], true
}

// trim gives memory back that one large string took.
func (d *decoder) trim() {
	if cap(d.huff) > 4<<10 {
		d.huff = nil
	}
}

// readInt reads an integer with a prefix of that many bits (RFC 7541, section
// 5.1), below 2^62.
func readInt(p []byte, bits uint) (n uint64, rest []byte, ok bool) {
	most := uint64(1)<<bits - 1
	if n = uint64(p[0]) & most; n < most {
		return n, p[1:], true
	}
	for shift, i := uint(0), 1; i < len(p) && shift < 56; i++ {
		n += uint64(p[i]&0x7f) << shift
		if p[i]&0x80 == 0 {
			return n, p[i+1:], true
		}
		shift += 7
	}
	return 0, nil, false
}
