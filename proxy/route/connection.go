package route

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Connection is what is known of one without HTTP.
type Connection struct {
	// TLS says that it is the application's own, and Name what it asked for by
	// SNI, in lower case; empty for none.
	TLS  bool
	Name string
	// To is the address that the client dialled; invalid where it dialled a name.
	To netip.Addr
}

// Exception is the split of some connections; every part must hold.
type Exception struct {
	// Name is that of SNI: exact, *.suffix for any labels before, or * for any; empty for
	// connections of any kind.
	Name string
	// TLS limits it to the application's own TLS, as a Name does.
	TLS bool
	// To are the addresses that were dialled; the zero value means all.
	To    netip.Prefix
	Split *Split
}

func (e *Exception) holds(c *Connection) bool {
	if e.To.IsValid() && !e.To.Contains(c.To) {
		return false
	}
	switch {
	case e.Name == "":
		return c.TLS || !e.TLS
	case !c.TLS:
		return false
	case e.Name == "*":
		return true
	case e.Name[0] == '*':
		return len(c.Name) >= len(e.Name) && strings.HasSuffix(c.Name, e.Name[1:])
	}
	return c.Name == e.Name
}

// weight orders exceptions by how much they say of the name: exact, then the
// longest wildcard, then TLS.
func (e *Exception) weight() int {
	switch {
	case e.Name == "" && !e.TLS:
		return 0
	case e.Name == "":
		return 1
	case e.Name[0] == '*':
		return 1 + len(e.Name)
	}
	return 1 << 16
}

// String is the condition, for dumps.
func (e *Exception) String() string {
	var out []string
	if e.To.IsValid() {
		out = append(out, "to "+e.To.String())
	}
	if e.Name != "" {
		out = append(out, "SNI "+e.Name)
	} else if e.TLS {
		out = append(out, "TLS")
	}
	return strings.Join(out, ", ")
}

// Except makes a split that is used for all connections but those of the
// exceptions, which are the split's afterwards. Where several hold for a
// connection, the one with the longest prefix counts, then that with the most
// exact name, then the first.
func (s *Split) Except(list []Exception) *Split {
	out := *s
	bits := func(e *Exception) int {
		if !e.To.IsValid() {
			return -1
		}
		return e.To.Bits()
	}
	slices.SortStableFunc(list, func(a, b Exception) int {
		return cmp.Or(cmp.Compare(bits(&b), bits(&a)), cmp.Compare(b.weight(), a.weight()))
	})
	out.exceptions = list
	for i := range list {
		e := &list[i]
		out.byName = out.byName || e.TLS || e.Name != ""
	}
	return &out
}

// ByName says whether For wants to know of TLS and its name.
func (s *Split) ByName() bool { return s != nil && s.byName }

// For returns the split of a connection. A nil split is always itself.
func (s *Split) For(c Connection) *Split {
	if s != nil {
		for i := range s.exceptions {
			if s.exceptions[i].holds(&c) {
				return s.exceptions[i].Split
			}
		}
	}
	return s
}

// Exceptions are those of the split, most exact first; the caller must not
// change them.
func (s *Split) Exceptions() []Exception {
	if s == nil {
		return nil
	}
	return s.exceptions
}
