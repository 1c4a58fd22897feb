package redirect

import (
	"encoding/binary"
	"net"
	"syscall"
)

const (
	ownerUID      = 1 // XT_OWNER_UID
	rangeProto    = 2 // NF_NAT_RANGE_PROTO_SPECIFIED
	ip6HasProto   = 1 // IP6T_F_PROTO
	revisionOwner = 1
	ifaceName     = 16
)

// blank is an entry without conditions.
func (l layout) blank() []byte { return make([]byte, l.entry) }

// part appends a match or a target, aligned as the kernel wants it.
func part(raw []byte, name string, revision byte, data []byte) []byte {
	size := (xtHeader + len(data) + xtAlign - 1) / xtAlign * xtAlign
	b := make([]byte, size)
	ne.PutUint16(b, uint16(size))
	copy(b[2:2+xtName-1], name)
	b[2+xtName] = revision
	copy(b[xtHeader:], data)
	return append(raw, b...)
}

// finish appends the target and writes the offsets.
func (l layout) finish(raw []byte, name string, data []byte) entry {
	ne.PutUint16(raw[l.targetAt:], uint16(len(raw)))
	raw = part(raw, name, 0, data)
	ne.PutUint16(raw[l.targetAt+2:], uint16(len(raw)))
	return entry{raw: raw, old: -1}
}

func (l layout) standard(verdict int32) entry {
	return l.finish(l.blank(), "", ne.AppendUint32(nil, uint32(verdict)))
}

func (l layout) errorEntry(name string) entry {
	b := make([]byte, xtError-xtHeader)
	copy(b[:29], name)
	return l.finish(l.blank(), "ERROR", b)
}

// rule is a rule of a plan in the kernel's form.
func (l layout) rule(r Rule) entry {
	raw := l.blank()
	ne.PutUint16(raw[l.proto:], syscall.IPPROTO_TCP)
	if r.Family == IPv6 {
		raw[l.flags] |= ip6HasProto
	}
	if r.OutputIface != "" {
		n := copy(raw[l.out:l.out+ifaceName-1], r.OutputIface)
		for i := range n + 1 { // the closing zero too: the whole name
			raw[l.out+2*ifaceName+i] = 0xff
		}
	}
	if d := r.Destination; d.IsValid() {
		copy(raw[l.dst:], d.Masked().Addr().AsSlice())
		copy(raw[l.dst+2*l.addr:], net.CIDRMask(d.Bits(), 8*l.addr))
	}
	if r.UID.Set {
		b := make([]byte, 20)
		ne.PutUint32(b, r.UID.ID)
		ne.PutUint32(b[4:], r.UID.ID)
		b[16] = ownerUID
		raw = part(raw, "owner", revisionOwner, b)
	}
	if p := r.Ports; p != (PortRange{}) {
		b := make([]byte, 12)
		ne.PutUint16(b[2:], 0xffff) // any source port
		ne.PutUint16(b[4:], p.First)
		ne.PutUint16(b[6:], p.Last)
		raw = part(raw, "tcp", 0, b)
	}
	if r.Redirect == 0 {
		return l.finish(raw, "", ne.AppendUint32(nil, 0xfffffffb)) // verdictRet
	}
	return l.finish(raw, "REDIRECT", l.natRange(r.Redirect))
}

// natRange is the argument of REDIRECT: a range of one port. The families have
// different forms of it.
func (l layout) natRange(port uint16) []byte {
	if l.addr == net.IPv4len {
		b := make([]byte, 20) // count, then flags, two addresses, two ports
		ne.PutUint32(b, 1)
		ne.PutUint32(b[4:], rangeProto)
		binary.BigEndian.PutUint16(b[16:], port)
		binary.BigEndian.PutUint16(b[18:], port)
		return b
	}
	b := make([]byte, 40) // flags, two addresses, two ports
	ne.PutUint32(b, rangeProto)
	binary.BigEndian.PutUint16(b[36:], port)
	binary.BigEndian.PutUint16(b[38:], port)
	return b
}
