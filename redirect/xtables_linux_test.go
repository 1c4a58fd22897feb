package redirect

import (
	"bytes"
	"testing"
)

// madeUp is a nat table as iptables would leave it: two built-in chains, one
// of somebody's that the first jumps to, and ours.
func madeUp(t testing.TB, f Family) (*table, encoded) {
	t.Helper()
	l := layouts[f]
	const accept = -2
	pre := &chain{hook: hookPreroute}
	out := &chain{hook: hookOutput, rules: []entry{l.standard(accept)}}
	theirs := &chain{name: "THEIRS", hook: -1, head: l.errorEntry("THEIRS"), rules: []entry{l.standard(verdictRet)}}
	jump, through := l.standard(0), l.standard(0)
	jump.jump, through.fall = theirs, true
	pre.rules = []entry{jump, through, l.standard(accept)}
	tb := &table{layout: l, valid: 1<<hookPreroute | 1<<hookOutput, chains: []*chain{pre, out, theirs}, end: l.errorEntry("ERROR")}
	p, err := NewPlan(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.add(chainOutput, hookOutput, entries(l, p.chain(f, Output))); err != nil {
		t.Fatal(err)
	}
	return tb, tb.encode()
}

func TestTableSurvivesDecoding(t *testing.T) {
	for _, f := range []Family{IPv4, IPv6} {
		tb, e := madeUp(t, f)
		got, err := decode(tb.layout, tb.valid, e.hookEntry, e.underflow, e.block)
		if err != nil {
			t.Fatal(err)
		}
		if again := got.encode(); !bytes.Equal(again.block, e.block) || again.hookEntry != e.hookEntry || again.underflow != e.underflow {
			t.Errorf("%s: a table changes when it is read and written", f)
		}
		got.remove(chainOutput)
		if got.chain(chainOutput, -1) != nil || len(got.chain("", hookOutput).rules) != 1 || got.chain("THEIRS", -1) == nil {
			t.Errorf("%s: removing our chain does something else", f)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, fam := range []Family{IPv4, IPv6} {
		_, e := madeUp(f, fam)
		f.Add(e.block, fam == IPv6, e.hookEntry[hookOutput], e.underflow[hookOutput])
	}
	f.Fuzz(func(t *testing.T, block []byte, six bool, entry, under uint32) {
		l := layouts[IPv4]
		if six {
			l = layouts[IPv6]
		}
		h, u := [hooks]uint32{hookOutput: entry}, [hooks]uint32{hookOutput: under}
		tb, err := decode(l, 1<<hookPreroute|1<<hookOutput, h, u, block)
		if err != nil {
			return
		}
		// Whatever is taken can be edited and given back.
		tb.remove("THEIRS")
		_ = tb.add(chainOutput, hookOutput, nil)
		if e := tb.encode(); len(e.old) == 0 {
			t.Error("an empty table")
		}
	})
}
