package http

import "bytes"

// hostBytes are the bytes of a name or an address outside brackets (RFC 3986,
// section 3.2.2): unreserved and sub-delims. '%' begins an encoded byte.
var hostBytes = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || bytes.IndexByte([]byte("-._~!$&'()*+,;="), byte(c)) >= 0
	}
	return t
}()

// ValidHost says whether b is "host" or "host:port" (RFC 9110, section 7.2; RFC
// 3986, sections 3.2.2 and 3.2.3), or empty. The port may be empty behind its
// colon. User information is refused (RFC 9110, section 4.2.4).
func ValidHost(b []byte) bool {
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 || !literal(b[1:end]) {
			return false
		}
		b = b[end+1:]
		return len(b) == 0 || b[0] == ':' && validPort(b[1:])
	}
	for i := 0; i < len(b); i++ {
		if c := b[i]; hostBytes[c] {
			continue
		} else if c == ':' {
			return i > 0 && validPort(b[i+1:])
		} else if c != '%' || i+2 >= len(b) || unhex(b[i+1]) < 0 || unhex(b[i+2]) < 0 {
			return false
		}
	}
	return true
}

// ValidHostPort says whether b is a host with a port that is not empty, as
// CONNECT wants it (RFC 9110, section 9.3.6).
func ValidHostPort(b []byte) bool {
	n := len(b)
	return ValidHost(b) && n > 0 && b[n-1] != ':' && b[n-1] != ']' && bytes.IndexByte(b, ':') > 0
}

// validPort accepts digits up to 65535; none at all too.
func validPort(p []byte) bool {
	n := 0
	for _, c := range p {
		if c < '0' || c > '9' {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return true
}

// literal says whether b may stand in brackets: an IPv6 address without a zone,
// or what a later version of IP may have (IPvFuture).
func literal(b []byte) bool {
	if len(b) > 0 && b[0]|0x20 == 'v' {
		dot := bytes.IndexByte(b, '.')
		if dot < 2 || dot == len(b)-1 {
			return false
		}
		for _, c := range b[1:dot] {
			if unhex(c) < 0 {
				return false
			}
		}
		for _, c := range b[dot+1:] {
			if !hostBytes[c] && c != ':' {
				return false
			}
		}
		return true
	}
	return ipv6(b)
}

// ipv6 says whether b is an address as RFC 3986, section 3.2.2, writes it.
func ipv6(b []byte) bool {
	groups, gap := 0, false
	for i := 0; ; {
		n := i
		for n < len(b) && n < i+5 && unhex(b[n]) >= 0 {
			n++
		}
		switch {
		case n < len(b) && b[n] == '.':
			return ipv4(b[i:]) && whole(groups+2, gap)
		case n > i+4:
			return false
		case n > i:
			groups++
		case i > 0 || len(b) < 2 || b[0] != ':' || b[1] != ':':
			// Nothing between two colons, but for a gap, or at either end.
			return gap && n == len(b) && b[n-2] == ':' && whole(groups, gap)
		}
		if n == len(b) {
			return whole(groups, gap)
		}
		if b[n] != ':' || groups > 7 {
			return false
		}
		if n+1 < len(b) && b[n+1] == ':' {
			if gap {
				return false
			}
			gap = true
			n++
		}
		i = n + 1
	}
}

// whole says whether the groups are those of an address; a gap stands for one at
// least.
func whole(groups int, gap bool) bool { return gap && groups < 8 || !gap && groups == 8 }

// ipv4 says whether b is four numbers up to 255 without zeros in front.
func ipv4(b []byte) bool {
	for part := 0; part < 4; part++ {
		n, x := 0, 0
		for n < len(b) && n < 4 && b[n] >= '0' && b[n] <= '9' {
			x = x*10 + int(b[n]-'0')
			n++
		}
		if n == 0 || x > 255 || n > 1 && b[0] == '0' {
			return false
		}
		if b = b[n:]; part < 3 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
	}
	return len(b) == 0
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
