package h2

import "hash/maphash"

// tableSize is the size of the dynamic tables of both directions, in bytes
// (RFC 7541, section 4.2): the initial SETTINGS_HEADER_TABLE_SIZE, which we do
// not change, and the most that we use of what a peer offers.
const tableSize = 4096

// entryCost is what an entry counts beside its bytes (RFC 7541, section 4.1).
const entryCost = 32

// tableEntry is one field of a dynamic table.
type tableEntry struct {
	at          uint32 // where its name begins, its value behind, counted over all bytes ever added
	name, value uint16 // lengths
	hash        uint32 // encoder: of name and value
	plain       bool   // decoder: an ordinary field that was found valid
}

// dynTable is a dynamic table (RFC 7541, section 2.3.2) in two rings: one of
// entries, one of their bytes. Both grow with use.
type dynTable struct {
	mem         []byte
	base        uint32       // the number of mem's first byte, counted as tableEntry.at is
	ring        []tableEntry // a power of two
	first, next uint32       // numbers of the oldest entry and of the one to come
	size, max   int
}

func (t *dynTable) len() int { return int(t.next - t.first) }

// entry returns the entry of that number, which is in the table.
func (t *dynTable) entry(n uint32) *tableEntry { return &t.ring[n&uint32(len(t.ring)-1)] }

// has says whether the entry of that number is in the table.
func (t *dynTable) has(n uint32) bool { return n-t.first < t.next-t.first }

// bytes are views of an entry, valid until the next add.
func (t *dynTable) bytes(e *tableEntry) (name, value []byte) {
	b := t.mem[e.at-t.base:]
	return b[:e.name], b[e.name : e.name+e.value]
}

// setMax changes the limit and drops what exceeds it.
func (t *dynTable) setMax(n int) {
	t.max = n
	t.evict(n)
}

// evict drops the oldest entries until the table is no larger than n.
func (t *dynTable) evict(n int) {
	for t.size > n && t.first != t.next {
		e := t.entry(t.first)
		t.size -= int(e.name) + int(e.value) + entryCost
		t.first++
	}
}

// add puts a field in front, whose bytes are not the table's. It returns nil
// when the field exceeds the table, which is then empty.
func (t *dynTable) add(name, value []byte) *tableEntry {
	n := len(name) + len(value)
	t.evict(t.max - n - entryCost)
	if n+entryCost > t.max {
		return nil
	}
	if t.len() == len(t.ring) {
		t.grow()
	}
	if len(t.mem)+n > cap(t.mem) {
		t.compact(n)
	}
	e := t.entry(t.next)
	*e = tableEntry{at: t.base + uint32(len(t.mem)), name: uint16(len(name)), value: uint16(len(value))}
	t.mem = append(append(t.mem, name...), value...)
	t.next++
	t.size += n + entryCost
	return e
}

func (t *dynTable) grow() {
	old := *t
	t.ring = make([]tableEntry, max(8, 2*len(old.ring)))
	for n := old.first; n != old.next; n++ {
		*t.entry(n) = *old.entry(n)
	}
}

// compact makes room for n bytes behind those of the living entries.
func (t *dynTable) compact(n int) {
	live := t.mem[len(t.mem):]
	at := t.base + uint32(len(t.mem))
	if t.first != t.next {
		at = t.entry(t.first).at
		live = t.mem[at-t.base:]
	}
	to := t.mem[:0]
	if len(live)+n > cap(t.mem)/2 {
		// Twice what lives, so that moving it costs little per field.
		to = make([]byte, 0, max(512, 2*(len(live)+n)))
	}
	t.mem, t.base = append(to, live...), at
}

type staticField struct{ name, value []byte }

// staticTable is the table of RFC 7541, appendix A; index 0 is not used.
var staticTable = func() []staticField {
	names := [...]string{"", ":authority", ":method", ":method", ":path", ":path", ":scheme", ":scheme", ":status", ":status",
		":status", ":status", ":status", ":status", ":status", "accept-charset", "accept-encoding", "accept-language",
		"accept-ranges", "accept", "access-control-allow-origin", "age", "allow", "authorization", "cache-control",
		"content-disposition", "content-encoding", "content-language", "content-length", "content-location", "content-range",
		"content-type", "cookie", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since",
		"if-none-match", "if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards",
		"proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie",
		"strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate"}
	values := map[int]string{2: "GET", 3: "POST", 4: "/", 5: "/index.html", 6: "http", 7: "https", 8: "200", 9: "204", 10: "206",
		11: "304", 12: "400", 13: "404", 14: "500", 16: "gzip, deflate"}
	t := make([]staticField, len(names))
	for i := range t {
		t[i] = staticField{[]byte(names[i]), []byte(values[i])}
	}
	return t
}()

// hashSeed is random, so that nobody outside can choose fields that collide.
var hashSeed = maphash.MakeSeed()

func hashOf(b []byte) uint64 { return maphash.Bytes(hashSeed, b) }

// staticSlots finds a name's first index in the static table by its hash, with
// linear probing.
var staticSlots = func() (slots [128]uint8) {
	for i := 1; i < len(staticTable); i++ {
		if i > 1 && string(staticTable[i].name) == string(staticTable[i-1].name) {
			continue
		}
		at := hashOf(staticTable[i].name) % 128
		for slots[at] != 0 {
			at = (at + 1) % 128
		}
		slots[at] = uint8(i)
	}
	return slots
}()

// staticName is the first index of a name in the static table, or 0.
func staticName(name []byte, hash uint64) int {
	for at := hash % 128; staticSlots[at] != 0; at = (at + 1) % 128 {
		if i := int(staticSlots[at]); string(staticTable[i].name) == string(name) {
			return i
		}
	}
	return 0
}
