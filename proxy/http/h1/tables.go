package h1

// Classes of bytes, one table for all of them.
const (
	isToken  = 1 << iota // RFC 9110 section 5.6.2
	isTarget             // request target: visible ASCII but '#', and UTF-8 as sent by lax clients
	isValue              // field value: visible, space, tab, obs-text
)

// class is indexed by a byte.
var class = func() (t [256]uint8) {
	for c := range 256 {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if alnum || has("!#$%&'*+-.^_`|~", c) {
			t[c] |= isToken
		}
		if c > ' ' && c != 0x7f && c != '#' {
			t[c] |= isTarget
		}
		if c >= ' ' && c != 0x7f || c == '\t' {
			t[c] |= isValue
		}
	}
	return t
}()

func has(set string, c int) bool {
	for i := range len(set) {
		if int(set[i]) == c {
			return true
		}
	}
	return false
}

// all tells whether every byte of b is in a class.
func all(b []byte, mask uint8) bool {
	for _, c := range b {
		if class[c]&mask == 0 {
			return false
		}
	}
	return true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// next cuts the first element off a comma-separated list.
func next(list []byte) (element, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}
