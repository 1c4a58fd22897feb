package redirect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"unsafe"
)

// Socket options of both families (ip_tables.h, ip6_tables.h).
const (
	soReplace     = 64
	soAddCounters = 65
	soGetInfo     = 64
	soGetEntries  = 65
)

// Our chains in the nat table.
const (
	chainOutput     = "WEFT_OUTPUT"
	chainPrerouting = "WEFT_PREROUTING"
)

const (
	natTable   = "nat"
	nameSize   = 32
	infoSize   = 84
	getHeader  = 40
	setHeader  = 96
	addHeader  = 40
	counter    = 16
	maxRetries = 20
)

// legacy is the backend of the kernel's iptables interface. A family's table is
// replaced at once; what others have in it is kept.
type legacy struct{}

func (legacy) name() string { return "legacy" }

func (legacy) apply(p Plan) error {
	for _, f := range []Family{IPv4, IPv6} {
		out, pre := p.chain(f, Output), p.chain(f, Prerouting)
		if len(out)+len(pre) == 0 {
			if err := dropOurs(f); err != nil {
				return err
			}
			continue
		}
		err := edit(f, func(t *table) (bool, error) {
			t.remove(chainOutput)
			t.remove(chainPrerouting)
			if err := t.add(chainPrerouting, hookPreroute, entries(t.layout, pre)); err != nil {
				return false, err
			}
			return true, t.add(chainOutput, hookOutput, entries(t.layout, out))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (legacy) undo() error {
	return errors.Join(dropOurs(IPv4), dropOurs(IPv6))
}

// dropOurs removes our chains. A table that the namespace does not have yet is
// not made for that.
func dropOurs(f Family) error {
	// The thread's file: the process may be in another namespace.
	file := "/proc/thread-self/net/ip_tables_names"
	if f == IPv6 {
		file = "/proc/thread-self/net/ip6_tables_names"
	}
	names, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !slices.Contains(strings.Fields(string(names)), natTable) {
		return nil
	}
	return edit(f, func(t *table) (bool, error) {
		had := t.chain(chainOutput, -1) != nil || t.chain(chainPrerouting, -1) != nil
		t.remove(chainOutput)
		t.remove(chainPrerouting)
		return had, nil
	})
}

func entries(l layout, rules []Rule) []entry {
	var out []entry
	for _, r := range rules {
		out = append(out, l.rule(r))
	}
	return out
}

// edit reads a family's nat table, changes it and writes it back. The kernel
// refuses (EAGAIN) when somebody else changed it meanwhile: it is read again.
func edit(f Family, change func(*table) (bool, error)) error {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		return errors.New("iptables: only 64-bit machines are known")
	}
	domain := syscall.AF_INET
	if f == IPv6 {
		domain = syscall.AF_INET6
	}
	// The options are those of any socket of the family. A raw one, which the
	// iptables command takes, would need the capability NET_RAW as well.
	fd, err := syscall.Socket(domain, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("iptables %s: opening a socket: %w", f, err)
	}
	defer syscall.Close(fd)
	s := xtSocket{fd, uintptr(syscall.IPPROTO_IP), layouts[f]}
	if f == IPv6 {
		s.level = syscall.IPPROTO_IPV6
	}
	for try := 0; ; try++ {
		t, err := s.read()
		if err != nil {
			return fmt.Errorf("iptables %s: reading the nat table: %w", f, err)
		}
		write, err := change(t)
		if err != nil || !write {
			return err
		}
		if err = s.write(t); errors.Is(err, syscall.EAGAIN) && try < maxRetries {
			continue
		}
		if err != nil {
			return fmt.Errorf("iptables %s: writing the nat table: %w", f, err)
		}
		return nil
	}
}

// xtSocket speaks to one family's tables.
type xtSocket struct {
	fd    int
	level uintptr
	layout
}

func (s xtSocket) get(option uintptr, b []byte) error {
	size := uint32(len(b))
	_, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(s.fd), s.level, option, uintptr(unsafe.Pointer(&b[0])), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return nil
}

func (s xtSocket) set(option uintptr, b []byte) error {
	_, _, e := syscall.Syscall6(syscall.SYS_SETSOCKOPT, uintptr(s.fd), s.level, option, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0)
	if e != 0 {
		return e
	}
	return nil
}

func (s xtSocket) read() (*table, error) {
	info := make([]byte, infoSize)
	copy(info, natTable)
	if err := s.get(soGetInfo, info); err != nil {
		return nil, err
	}
	var hookEntry, underflow [hooks]uint32
	for h := range hooks {
		hookEntry[h] = ne.Uint32(info[nameSize+4+4*h:])
		underflow[h] = ne.Uint32(info[nameSize+24+4*h:])
	}
	size := ne.Uint32(info[nameSize+48:])
	b := make([]byte, getHeader+int(size))
	copy(b, natTable)
	ne.PutUint32(b[nameSize:], size)
	if err := s.get(soGetEntries, b); err != nil {
		return nil, err
	}
	t, err := decode(s.layout, ne.Uint32(info[nameSize:]), hookEntry, underflow, b[getHeader:])
	if err == nil && t.number != int(ne.Uint32(info[nameSize+44:])) {
		err = fmt.Errorf("%w: %d entries instead of %d", ErrTable, t.number, ne.Uint32(info[nameSize+44:]))
	}
	return t, err
}

// write replaces the table, and gives the counters back to the entries that
// stayed.
func (s xtSocket) write(t *table) error {
	e := t.encode()
	old := make([]byte, t.number*counter) // the kernel fills in the counters of before
	b := make([]byte, setHeader, setHeader+len(e.block))
	copy(b, natTable)
	for i, v := range []uint32{t.valid, uint32(len(e.old)), uint32(len(e.block))} {
		ne.PutUint32(b[nameSize+4*i:], v)
	}
	for h := range hooks {
		ne.PutUint32(b[nameSize+12+4*h:], e.hookEntry[h])
		ne.PutUint32(b[nameSize+32+4*h:], e.underflow[h])
	}
	ne.PutUint32(b[nameSize+52:], uint32(t.number))
	var pin runtime.Pinner // the kernel gets the address inside the block
	pin.Pin(&old[0])
	defer pin.Unpin()
	ne.PutUint64(b[88:], uint64(uintptr(unsafe.Pointer(&old[0]))))
	if err := s.set(soReplace, append(b, e.block...)); err != nil {
		return err
	}
	add := make([]byte, addHeader+counter*len(e.old))
	copy(add, natTable)
	ne.PutUint32(add[nameSize:], uint32(len(e.old)))
	for i, n := range e.old {
		if n >= 0 {
			copy(add[addHeader+counter*i:], old[counter*n:counter*(n+1)])
		}
	}
	_ = s.set(soAddCounters, add) // counters are for people; the rules hold
	return nil
}
