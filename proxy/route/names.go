package route

import (
	"slices"
	"strconv"
	"strings"
)

// ByName finds the destination of a connection to an address that is nobody's
// by the name that its client asks for. It is immutable; nil finds nothing.
type ByName struct {
	// HTTP are found by the host of a request, TLS by the server name of a
	// ClientHello; nil where there are none.
	HTTP, TLS *Names
}

// Names find a destination by a DNS name. It is immutable; nil finds nothing.
type Names struct {
	hosts  []string
	exact  map[string]string // the destination's name by host
	suffix map[string]string // and by what follows the star
	// lengths are those of the suffixes, each once, the longest first.
	lengths []int
}

// NewNames is for hosts at a port: exact ones, and those that begin with a star,
// which stands for at least one character. The destination of a host is
// <host>:<port>.
func NewNames(hosts []string, port uint16) *Names {
	if len(hosts) == 0 {
		return nil
	}
	n := &Names{hosts: hosts, exact: map[string]string{}, suffix: map[string]string{}}
	for _, h := range hosts {
		to := h + ":" + strconv.Itoa(int(port))
		rest, wild := strings.CutPrefix(strings.ToLower(h), "*")
		if !wild {
			n.exact[rest] = to
			continue
		}
		n.suffix[rest] = to
		if !slices.Contains(n.lengths, len(rest)) {
			n.lengths = append(n.lengths, len(rest))
		}
	}
	slices.SortFunc(n.lengths, func(a, b int) int { return b - a })
	return n
}

// Find returns the destination of a name in lower case, or nothing: an exact
// one, else that of the longest suffix.
func (n *Names) Find(name string) (destination string) {
	if n == nil || name == "" {
		return ""
	}
	if to := n.exact[name]; to != "" {
		return to
	}
	for _, l := range n.lengths {
		if l < len(name) {
			if to := n.suffix[name[len(name)-l:]]; to != "" {
				return to
			}
		}
	}
	return ""
}

// Hosts are what was given; the caller must not change them.
func (n *Names) Hosts() []string {
	if n == nil {
		return nil
	}
	return n.hosts
}

// Authority is the name of a request's authority: in lower case, without the
// port and the dot at the end.
func Authority(a []byte) string {
	host := string(a)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
