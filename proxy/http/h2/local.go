package h2

import "net/netip"

// Local is this side's address of the stream's connection; zero where the
// transport does not tell it.
func (s *Stream) Local() netip.AddrPort {
	if t, ok := s.c.t.(interface{ Local() netip.AddrPort }); ok {
		return t.Local()
	}
	return netip.AddrPort{}
}
