package forward

import (
	"net/netip"
	"testing"

	"github.com/weftmesh/weft/identity"
	"github.com/weftmesh/weft/proxy/http"
)

func TestFlowsAreContinuedByTheirOwnPeerOnce(t *testing.T) {
	var f Flows
	mine, theirs := &Downstream{Peer: identity.ID{ServiceAccount: "a"}, Destination: netip.MustParseAddrPort("10.0.0.1:1")}, &Downstream{}
	r, tok := &relayed{}, newToken()
	f.add(tok, r, mine)
	theirs.Destination = mine.Destination
	if f.take(tok, theirs) != nil {
		t.Error("another identity may continue it")
	}
	theirs.Peer, theirs.Destination = mine.Peer, netip.MustParseAddrPort("10.0.0.1:2")
	if f.take(tok, theirs) != nil {
		t.Error("it may be continued for another port")
	}
	if f.take(newToken(), mine) != nil || f.take(token{}, mine) != nil {
		t.Error("an unknown token names it")
	}
	if f.take(tok, mine) != r {
		t.Error("its own peer may not continue it")
	}
	if f.take(tok, mine) != nil {
		t.Error("it is continued twice")
	}
	f.remove(tok)
	if len(f.of) != 0 || len(f.moved) != 0 {
		t.Error("it is kept after its end")
	}
}

// What has moved is served where it began, and leaves room there for others.
func TestFlowsThatMoveAreBounded(t *testing.T) {
	var f Flows
	one, other := &Downstream{}, &Downstream{}
	var moved []token
	add := func(d *Downstream) token {
		tok := newToken()
		f.add(tok, &relayed{}, d)
		return tok
	}
	for range maxMoved {
		tok := add(one)
		if f.take(tok, one) == nil {
			t.Fatal("it may not move")
		}
		moved = append(moved, tok)
	}
	late := add(one)
	if f.take(late, one) != nil {
		t.Error("there is no bound")
	}
	if f.take(add(other), one) == nil {
		t.Error("another connection's count too")
	}
	f.remove(moved[0])
	if f.take(late, one) == nil {
		t.Error("there is no room after an end")
	}
}

func TestTokensInHeads(t *testing.T) {
	a, b := newToken(), token{}
	if b.read(a.field()); a != b {
		t.Error("it changes on its way")
	}
	for _, v := range []string{"", "00", "zz000000000000000000000000000000", "0000000000000000000000000000000000"} {
		if b.read([]http.Field{{Name: flowName, Value: []byte(v)}}); b != (token{}) && b != a {
			t.Errorf("%q is read as %x", v, b)
		}
	}
}
