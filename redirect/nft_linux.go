package redirect

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// nftTable is ours alone: what is in it is replaced and removed as a whole.
const nftTable = "weft"

// nft is the backend of nftables.
type nft struct{}

func (nft) name() string { return "nft" }

// apply replaces our tables in one transaction: it holds altogether or not at all.
func (nft) apply(p Plan) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	for _, f := range []Family{IPv4, IPv6} {
		rules := len(p.chain(f, Output)) + len(p.chain(f, Prerouting))
		if rules == 0 {
			continue
		}
		// Adding first makes deleting valid whether there was a table or not.
		t := c.AddTable(&nftables.Table{Name: nftTable, Family: nftFamily(f)})
		c.DelTable(t)
		t = c.AddTable(&nftables.Table{Name: nftTable, Family: nftFamily(f)})
		for _, h := range []Hook{Prerouting, Output} {
			hook := nftables.ChainHookPrerouting
			if h == Output {
				hook = nftables.ChainHookOutput
			}
			chain := c.AddChain(&nftables.Chain{Name: h.String(), Table: t, Type: nftables.ChainTypeNAT, Hooknum: hook, Priority: nftables.ChainPriorityNATDest})
			for _, r := range p.chain(f, h) {
				c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: nftExprs(r)})
			}
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("nftables: setting the rules: %w", err)
	}
	// A plan without a family takes what an earlier one set for it.
	for _, f := range []Family{IPv4, IPv6} {
		if len(p.chain(f, Output))+len(p.chain(f, Prerouting)) == 0 {
			if err := nftRemove(f); err != nil {
				return err
			}
		}
	}
	return nil
}

func (nft) undo() error {
	for _, f := range []Family{IPv4, IPv6} {
		if err := nftRemove(f); err != nil {
			return err
		}
	}
	return nil
}

func nftRemove(f Family) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	tables, err := c.ListTablesOfFamily(nftFamily(f))
	if err != nil {
		return fmt.Errorf("nftables: listing the tables: %w", err)
	}
	for _, t := range tables {
		if t.Name == nftTable {
			c.DelTable(t)
			if err := c.Flush(); err != nil {
				return fmt.Errorf("nftables: removing the table %s %s: %w", f, nftTable, err)
			}
		}
	}
	return nil
}

func nftFamily(f Family) nftables.TableFamily {
	if f == IPv6 {
		return nftables.TableFamilyIPv6
	}
	return nftables.TableFamilyIPv4
}

// reg is the register in which a value is loaded, compared and dropped.
const reg = 1

// nftExprs is a rule in the instructions of the kernel's machine.
func nftExprs(r Rule) []expr.Any {
	equal := func(data []byte) expr.Any { return &expr.Cmp{Op: expr.CmpOpEq, Register: reg, Data: data} }
	out := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: reg}, equal([]byte{unix.IPPROTO_TCP})}
	if r.UID.Set {
		out = append(out, &expr.Meta{Key: expr.MetaKeySKUID, Register: reg}, equal(binary.NativeEndian.AppendUint32(nil, r.UID.ID)))
	}
	if r.OutputIface != "" {
		name := make([]byte, unix.IFNAMSIZ)
		copy(name, r.OutputIface)
		out = append(out, &expr.Meta{Key: expr.MetaKeyOIFNAME, Register: reg}, equal(name))
	}
	if d := r.Destination; d.IsValid() {
		offset, size := uint32(16), uint32(net.IPv4len) // of the destination in the header
		if r.Family == IPv6 {
			offset, size = 24, net.IPv6len
		}
		out = append(out,
			&expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
			&expr.Bitwise{SourceRegister: reg, DestRegister: reg, Len: size, Mask: net.CIDRMask(d.Bits(), int(size)*8), Xor: make([]byte, size)},
			equal(d.Masked().Addr().AsSlice()))
	}
	if p := r.Ports; p != (PortRange{}) {
		out = append(out, &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
		first, last := binary.BigEndian.AppendUint16(nil, p.First), binary.BigEndian.AppendUint16(nil, p.Last)
		if p.First == p.Last {
			out = append(out, equal(first))
		} else {
			out = append(out, &expr.Cmp{Op: expr.CmpOpGte, Register: reg, Data: first}, &expr.Cmp{Op: expr.CmpOpLte, Register: reg, Data: last})
		}
	}
	if r.Redirect == 0 {
		return append(out, &expr.Verdict{Kind: expr.VerdictReturn})
	}
	return append(out,
		&expr.Immediate{Register: reg, Data: binary.BigEndian.AppendUint16(nil, r.Redirect)},
		&expr.Redir{RegisterProtoMin: reg})
}
