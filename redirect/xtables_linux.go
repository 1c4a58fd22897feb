package redirect

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// The kernel's own form of an iptables table, which is one block of entries:
// linux/netfilter/x_tables.h, linux/netfilter_ipv4/ip_tables.h and
// linux/netfilter_ipv6/ip6_tables.h, on a 64-bit machine.

// ErrTable is a table of another shape than the kernel documents.
var ErrTable = errors.New("unexpected form of the nat table")

// layout is where the parts of an entry are; they differ by family.
type layout struct {
	entry    int // size of an entry without matches and target
	targetAt int // target_offset; next_offset is behind it
	counters int
	dst      int // destination; its mask is two addresses on
	addr     int // size of an address
	out      int // name of the output interface; its mask is two names on
	proto    int
	flags    int
}

var layouts = map[Family]layout{
	IPv4: {entry: 112, targetAt: 88, counters: 96, dst: 4, addr: 4, out: 32, proto: 80, flags: 82},
	IPv6: {entry: 168, targetAt: 140, counters: 152, dst: 16, addr: 16, out: 80, proto: 128, flags: 131},
}

const (
	xtHeader     = 32 // of a match or a target: size, name[29], revision
	xtName       = 29
	xtAlign      = 8
	xtStandard   = 40 // a standard target
	xtError      = 64 // an error target: heads of chains, and the end
	hooks        = 5
	verdictRet   = -5 // XT_RETURN
	hookPreroute = 0
	hookOutput   = 3
)

var ne = binary.NativeEndian

// entry is one rule as the kernel keeps it.
type entry struct {
	raw  []byte
	old  int    // its number in the table that was read, -1 when it is new
	jump *chain // where its verdict leads, nil for none
	fall bool   // its verdict is the next entry
}

// chain is a built-in chain, or one of somebody.
type chain struct {
	name  string
	hook  int // -1: not built in
	head  entry
	rules []entry // the last one is the policy, or the return at the end
}

// table is a decoded table.
type table struct {
	layout
	valid  uint32
	chains []*chain
	end    entry
	number int // entries when read
}

func (l layout) target(raw []byte) []byte { return raw[ne.Uint16(raw[l.targetAt:]):] }

func targetName(t []byte) string {
	name, _, _ := bytes.Cut(t[2:2+xtName], []byte{0})
	return string(name)
}

// decode takes the block apart. Verdicts, which are offsets, become pointers.
func decode(l layout, valid uint32, hookEntry, underflow [hooks]uint32, block []byte) (*table, error) {
	t := &table{layout: l, valid: valid}
	starts := map[int]*chain{} // offset of a chain's first rule
	var cur *chain
	type at struct {
		c *chain
		i int
	}
	var offsets []int
	var places []at
	for off := 0; off < len(block); {
		if len(block)-off < l.entry {
			return nil, fmt.Errorf("%w: it ends within an entry", ErrTable)
		}
		size := int(ne.Uint16(block[off+l.targetAt+2:]))
		to := int(ne.Uint16(block[off+l.targetAt:]))
		if size < l.entry+xtHeader || to < l.entry || to+xtHeader > size || size > len(block)-off {
			return nil, fmt.Errorf("%w: an entry of %d bytes", ErrTable, size)
		}
		e := entry{raw: slices.Clone(block[off : off+size]), old: t.number}
		t.number++
		tgt := l.target(e.raw)
		switch {
		case targetName(tgt) == "ERROR":
			if off+size == len(block) {
				t.end = e
				break
			}
			name, _, _ := bytes.Cut(tgt[xtHeader:], []byte{0})
			cur = &chain{name: string(name), hook: -1, head: e}
			t.chains = append(t.chains, cur)
			starts[off+size] = cur
		default:
			for h := range hooks {
				if valid&(1<<h) != 0 && int(hookEntry[h]) == off {
					cur = &chain{hook: h}
					t.chains = append(t.chains, cur)
				}
			}
			if cur == nil {
				return nil, fmt.Errorf("%w: a rule outside of all chains", ErrTable)
			}
			cur.rules = append(cur.rules, e)
			offsets = append(offsets, off)
			places = append(places, at{cur, len(cur.rules) - 1})
			if cur.hook >= 0 && int(underflow[cur.hook]) == off {
				cur = nil
			}
		}
		off += size
	}
	if t.end.raw == nil {
		return nil, fmt.Errorf("%w: it has no end", ErrTable)
	}
	for i, p := range places {
		e := &p.c.rules[p.i]
		v, ok := verdict(l, e.raw)
		if !ok || v < 0 {
			continue
		}
		switch {
		case v == offsets[i]+len(e.raw):
			e.fall = true
		case starts[v] != nil:
			e.jump = starts[v]
		default:
			return nil, fmt.Errorf("%w: a jump to nowhere", ErrTable)
		}
	}
	return t, nil
}

// verdict returns the number in a standard target.
func verdict(l layout, raw []byte) (int, bool) {
	tgt := l.target(raw)
	if targetName(tgt) != "" || len(tgt) < xtStandard {
		return 0, false
	}
	return int(int32(ne.Uint32(tgt[xtHeader:]))), true
}

// encoded is a table to be given to the kernel.
type encoded struct {
	block                []byte
	hookEntry, underflow [hooks]uint32
	old                  []int // for each entry, its number before
}

// encode is the reverse of decode.
func (t *table) encode() encoded {
	var out encoded
	starts := map[*chain]int{}
	off := 0
	for _, c := range t.chains {
		if c.hook < 0 {
			off += len(c.head.raw)
		} else {
			out.hookEntry[c.hook] = uint32(off)
		}
		starts[c] = off
		for i, r := range c.rules {
			if c.hook >= 0 && i == len(c.rules)-1 {
				out.underflow[c.hook] = uint32(off)
			}
			off += len(r.raw)
		}
	}
	add := func(e entry) {
		raw := slices.Clone(e.raw)
		switch {
		case e.jump != nil:
			ne.PutUint32(t.target(raw)[xtHeader:], uint32(starts[e.jump]))
		case e.fall:
			ne.PutUint32(t.target(raw)[xtHeader:], uint32(len(out.block)+len(raw)))
		}
		out.block = append(out.block, raw...)
		out.old = append(out.old, e.old)
	}
	for _, c := range t.chains {
		if c.hook < 0 {
			add(c.head)
		}
		for _, r := range c.rules {
			add(r)
		}
	}
	add(t.end)
	return out
}

// chain finds a chain by its name, or a built-in one by its hook.
func (t *table) chain(name string, hook int) *chain {
	for _, c := range t.chains {
		if c.hook == hook && c.name == name {
			return c
		}
	}
	return nil
}

// remove takes a chain out, and the jumps to it.
func (t *table) remove(name string) {
	c := t.chain(name, -1)
	if c == nil {
		return
	}
	t.chains = slices.DeleteFunc(t.chains, func(x *chain) bool { return x == c })
	for _, x := range t.chains {
		x.rules = slices.DeleteFunc(x.rules, func(e entry) bool { return e.jump == c })
	}
}

// add puts a chain in and a jump to it behind the rules that a hook has.
func (t *table) add(name string, hook int, rules []entry) error {
	from := t.chain("", hook)
	if from == nil || len(from.rules) == 0 {
		return fmt.Errorf("%w: hook %d is missing", ErrTable, hook)
	}
	c := &chain{name: name, hook: -1, head: t.errorEntry(name), rules: append(rules, t.standard(verdictRet))}
	t.chains = append(t.chains, c)
	jump := t.standard(0)
	jump.jump = c
	from.rules = slices.Insert(from.rules, len(from.rules)-1, jump)
	return nil
}
