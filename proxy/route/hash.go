package route

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/http"
)

// Hash combines the policies for a request. ok is false where none of them
// found anything: the endpoint is then chosen at random. cookie is a value that
// the response must set for policy set; nil where there is none.
func Hash(policies []HashPolicy, r *http.Request, client netip.Addr, random uint64) (h uint64, ok bool, cookie []byte, set *HashPolicy) {
	for i := range policies {
		p := &policies[i]
		one, found := uint64(0), false
		switch p.Kind {
		case HashHeader:
			one, found = hashHeader(r, p.Name)
		case HashSource:
			if found = client.IsValid(); found {
				one = HashAddress(client)
			}
		case HashQuery:
			v := valueMatcher{name: p.Name, kind: Present}
			var b []byte
			if b, found = v.findQuery(r.Query()); found {
				one = balance.Hash(b)
			}
		case HashCookie:
			b, there := cookieValue(r.Fields, p.Name)
			if !there && p.Generate {
				b = strconv.AppendUint(nil, random, 16)
				cookie, set = b, p
			}
			if found = there || p.Generate; found {
				one = balance.Hash(b)
			}
		}
		if !found {
			continue
		}
		h, ok = balance.HashMore(h, one), true
		if p.Terminal {
			break
		}
	}
	return h, ok, cookie, set
}

// HashAddress is the hash of a client's address.
func HashAddress(a netip.Addr) uint64 {
	b := a.As16()
	return balance.Hash(b[:])
}

func hashHeader(r *http.Request, name string) (h uint64, found bool) {
	switch name {
	case ":authority", "host":
		return balance.Hash(r.Authority), true
	case ":path":
		return balance.Hash(r.Target), true
	case ":method":
		return balance.Hash(r.Method), true
	}
	for i := range r.Fields {
		if http.EqualFold(r.Fields[i].Name, name) {
			// All values count, in their order.
			h, found = balance.HashMore(h, balance.Hash(r.Fields[i].Value)), true
		}
	}
	return h, found
}

// cookieValue finds a cookie (RFC 6265 section 4.2).
func cookieValue(fields []http.Field, name string) ([]byte, bool) {
	for i := range fields {
		if !http.EqualFold(fields[i].Name, "cookie") {
			continue
		}
		for rest := fields[i].Value; len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, semicolon)
			pair = bytes.TrimSpace(pair)
			if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
				return bytes.Trim(pair[len(name)+1:], `"`), true
			}
		}
	}
	return nil, false
}

var semicolon = []byte(";")

// SetCookie is the value of set-cookie for a cookie that Hash has made.
func (p *HashPolicy) SetCookie(value []byte) []byte {
	b := append(append([]byte(p.Name), `="`...), value...)
	b = append(b, '"')
	if p.TTL > 0 {
		b = strconv.AppendInt(append(b, "; Max-Age="...), int64(p.TTL.Seconds()), 10)
	}
	if p.Path != "" {
		b = append(append(b, "; Path="...), p.Path...)
	}
	if b = append(b, p.Attributes...); p.Attributes == "" {
		b = append(b, "; HttpOnly"...)
	}
	return b
}
