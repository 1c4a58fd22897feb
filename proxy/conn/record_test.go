package conn

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/conntest"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func testHalf(t testing.TB, secret string) *half {
	t.Helper()
	su, err := suiteOf(tls.TLS_AES_128_GCM_SHA256)
	if err != nil {
		t.Fatal(err)
	}
	h, err := newHalf(su, unhex(t, secret))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// The secrets and records of RFC 8448 section 3.
const (
	rfcClient      = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
	rfcServer      = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
	rfcClientData  = "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"
	rfcClientClose = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"
)

func TestRecordsOfRFC8448(t *testing.T) {
	data := make([]byte, 50)
	for i := range data {
		data[i] = byte(i)
	}
	h := testHalf(t, rfcClient)
	if want := unhex(t, "5b78923dee08579033e523d9"); !bytes.Equal(h.iv[:], want) {
		t.Errorf("iv %x", h.iv)
	}
	b := make([]byte, 100)
	copy(b[recordHead:], data)
	if n := h.seal(b, len(data), typeApplication); !bytes.Equal(b[:n], unhex(t, rfcClientData)) {
		t.Errorf("sealed in place: %x", b[:n])
	}
	h.seq = 0
	own := append(bytes.Clone(data), 0x55)
	if n := h.sealFrom(b, own[:50]); !bytes.Equal(b[:n], unhex(t, rfcClientData)) || own[50] != 0x55 {
		t.Errorf("sealed from elsewhere: %x", b[:n])
	}
	b[recordHead], b[recordHead+1] = 1, 0
	if n := h.seal(b, 2, typeAlert); !bytes.Equal(b[:n], unhex(t, rfcClientClose)) {
		t.Errorf("alert: %x", b[:n])
	}
	h.seq = 0
	out := make([]byte, 100)
	if n, kind, err := h.open(out, unhex(t, rfcClientData)); err != nil || kind != typeApplication || !bytes.Equal(out[:n], data) {
		t.Errorf("%x %d %v", out[:n], kind, err)
	}
	if n, kind, err := h.open(out, unhex(t, rfcClientClose)); err != nil || kind != typeAlert || n != 2 {
		t.Errorf("%d %d %v", n, kind, err)
	}
	if h := testHalf(t, rfcServer); !bytes.Equal(h.iv[:], unhex(t, "cf782b88dd83549aadf1e984")) {
		t.Errorf("server's iv %x", h.iv)
	}
}

func TestEveryBitOfARecordCounts(t *testing.T) {
	rec := unhex(t, rfcClientData)
	for i := range len(rec) * 8 {
		bad := bytes.Clone(rec)
		bad[i/8] ^= 1 << (i % 8)
		h := testHalf(t, rfcClient)
		n, ok, err := whole(bad)
		if err != nil || !ok || n != len(bad) {
			continue
		}
		if _, _, err := h.open(make([]byte, 100), bad); !errors.Is(err, alertBadRecordMAC) {
			t.Fatalf("bit %d: %v", i, err)
		}
	}
}

// ours is one end that keeps its records itself, and the raw socket and keys of
// the other end.
type ours struct {
	c       *Conn
	raw     net.Conn
	in, out *half // as seen from the raw side
}

func newOurs(t testing.TB, client bool) ours {
	t.Helper()
	x, y := conntest.TCP(t)
	u := New(x)
	u.below = true
	c := &Conn{nc: x, under: u, want: classRead}
	c.own = &own{in: testHalf(t, rfcClient), out: testHalf(t, rfcServer), client: client}
	y.SetDeadline(time.Now().Add(patience))
	x.SetReadDeadline(time.Now().Add(patience))
	return ours{c, y, testHalf(t, rfcServer), testHalf(t, rfcClient)}
}

func (o ours) send(t testing.TB, kind byte, content []byte, padding int) {
	t.Helper()
	b := make([]byte, recordHead+len(content)+recordTail+padding)
	copy(b[recordHead:], content)
	b[recordHead+len(content)] = kind
	n := len(content) + padding
	putHead(b, n)
	o.out.aead.Seal(b[recordHead:recordHead], o.out.count(), b[recordHead:recordHead+n+1], b[:recordHead])
	if _, err := o.raw.Write(b); err != nil {
		t.Fatal(err)
	}
}

func (o ours) receive(t testing.TB) (kind byte, content []byte) {
	t.Helper()
	head := make([]byte, recordHead)
	if _, err := io.ReadFull(o.raw, head); err != nil {
		t.Fatal(err)
	}
	rec := make([]byte, recordHead+(int(head[3])<<8|int(head[4])))
	copy(rec, head)
	if _, err := io.ReadFull(o.raw, rec[recordHead:]); err != nil {
		t.Fatal(err)
	}
	out := make([]byte, len(rec))
	n, kind, err := o.in.open(out, rec)
	if err != nil {
		t.Fatal(err)
	}
	return kind, out[:n]
}

func TestWhatAPeerMaySend(t *testing.T) {
	ticket := append([]byte{4, 0, 0, 14}, make([]byte, 14)...)
	type rec struct {
		kind    byte
		content string
		padding int
	}
	end := rec{typeAlert, "\x01\x00", 0}
	hi := rec{typeApplication, "hi", 0}
	many := func(r rec, n int) (out []rec) {
		for range n {
			out = append(out, r)
		}
		return out
	}
	for name, c := range map[string]struct {
		client bool
		recs   []rec
		got    string
		err    error // io.EOF, or an alert that is told
		told   bool  // the peer told it
	}{
		"end":                 {recs: []rec{hi, end}, got: "hi", err: io.EOF},
		"padding":             {recs: []rec{{typeApplication, "hi", 200}, end}, got: "hi", err: io.EOF},
		"empty records":       {recs: []rec{{typeApplication, "", 0}, {typeApplication, "", 9}, hi, end}, got: "hi", err: io.EOF},
		"behind the end":      {recs: []rec{end, hi}, err: io.EOF},
		"user canceled":       {recs: []rec{{typeAlert, "\x01\x5a", 0}, end}, err: io.EOF},
		"ticket":              {client: true, recs: []rec{{typeHandshake, string(ticket), 0}, hi, end}, got: "hi", err: io.EOF},
		"split ticket":        {client: true, recs: []rec{{typeHandshake, string(ticket[:3]), 0}, {typeHandshake, string(ticket[3:]), 0}, hi, end}, got: "hi", err: io.EOF},
		"two tickets":         {client: true, recs: []rec{{typeHandshake, string(ticket) + string(ticket), 0}, hi, end}, got: "hi", err: io.EOF},
		"fatal alert":         {recs: []rec{{typeAlert, "\x02\x28", 0}}, err: tls.AlertError(40), told: true},
		"short alert":         {recs: []rec{{typeAlert, "\x02", 0}}, err: alertDecodeError},
		"ticket to a server":  {recs: []rec{{typeHandshake, string(ticket), 0}}, err: alertUnexpectedMessage},
		"request":             {client: true, recs: []rec{{typeHandshake, "\x0d\x00\x00\x00", 0}}, err: alertUnexpectedMessage},
		"data in a message":   {client: true, recs: []rec{{typeHandshake, string(ticket[:3]), 0}, hi}, err: alertUnexpectedMessage},
		"empty handshake":     {recs: []rec{{typeHandshake, "", 0}}, err: alertUnexpectedMessage},
		"only padding":        {recs: []rec{{0, "", 3}}, err: alertUnexpectedMessage},
		"unknown type":        {recs: []rec{{99, "x", 0}}, err: alertUnexpectedMessage},
		"CCS":                 {recs: []rec{{typeCCS, "\x01", 0}}, err: alertUnexpectedMessage},
		"huge message":        {client: true, recs: []rec{{typeHandshake, "\x04\x02\x00\x00", 0}}, err: alertDecodeError},
		"bad key update":      {recs: []rec{{typeHandshake, "\x18\x00\x00\x01\x02", 0}}, err: alertIllegalParameter},
		"long key update":     {recs: []rec{{typeHandshake, "\x18\x00\x00\x02\x00\x00", 0}}, err: alertDecodeError},
		"key update and more": {client: true, recs: []rec{{typeHandshake, "\x18\x00\x00\x01\x00\x04", 0}}, err: alertUnexpectedMessage},
		"empty for ever":      {recs: many(rec{typeApplication, "", 0}, 17), err: alertUnexpectedMessage},
		"too long inside":     {recs: []rec{{typeApplication, strings.Repeat("x", record), 1}}, err: alertRecordOverflow},
		"full":                {recs: []rec{{typeApplication, strings.Repeat("x", record), 0}, end}, got: strings.Repeat("x", record), err: io.EOF},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOurs(t, c.client)
			for _, r := range c.recs {
				o.send(t, r.kind, []byte(r.content), r.padding)
			}
			var got []byte
			var err error
			for err == nil {
				err = o.c.Fill()
				got = append(got, o.c.Buffered()...)
				o.c.Discard(len(o.c.Buffered()))
			}
			if string(got) != c.got || !errors.Is(err, c.err) {
				t.Errorf("%d bytes, %v; want %d, %v", len(got), err, len(c.got), c.err)
			}
			if again := o.c.Fill(); again == nil || again.Error() != err.Error() {
				t.Errorf("the error does not last: %v", again)
			}
			o.c.Close()
			var alert tls.AlertError
			if errors.As(c.err, &alert) && !c.told {
				if kind, content := o.receive(t); kind != typeAlert || !bytes.Equal(content, []byte{2, byte(alert)}) {
					t.Errorf("the peer is told %d %x", kind, content)
				}
			}
		})
	}
}

func TestBadHeads(t *testing.T) {
	for raw, want := range map[string]tls.AlertError{
		"\x16\x03\x03\x00\x20":                                 alertUnexpectedMessage,
		"\x14\x03\x03\x00\x01\x01":                             alertUnexpectedMessage,
		"\x17\x03\x03\x41\x01":                                 alertRecordOverflow,
		"\x17\x03\x03\x00\x10" + strings.Repeat("x", 16):       alertBadRecordMAC,
		"\x17\x03\x03\x00\x20" + strings.Repeat("x", 32):       alertBadRecordMAC,
		"GET / HTTP/1.1\r\n\r\n":                               alertUnexpectedMessage,
		"\x17\x03\x03\x40\x00" + strings.Repeat("\x00", 1<<14): alertBadRecordMAC,
	} {
		o := newOurs(t, false)
		o.raw.Write([]byte(raw))
		if err := o.c.Fill(); !errors.Is(err, want) {
			t.Errorf("%.8q: %v", raw, err)
		}
		o.c.Close()
	}
}

func TestKeyUpdates(t *testing.T) {
	o := newOurs(t, false)
	for i := range 40 {
		o.send(t, typeHandshake, []byte{24, 0, 0, 1, byte(i % 2)}, 0)
		if err := o.out.update(); err != nil {
			t.Fatal(err)
		}
		o.send(t, typeApplication, []byte("ping"), 0)
		if got := readAll(t, o.c, 4); string(got) != "ping" {
			t.Fatal(got)
		}
		o.c.Write([]byte("pong"))
		if err := o.c.Flush(); err != nil {
			t.Fatal(err)
		}
		kind, content := o.receive(t)
		if i%2 == 1 {
			if kind != typeHandshake || !bytes.Equal(content, []byte{24, 0, 0, 1, 0}) {
				t.Fatalf("round %d: %d %x instead of a key update", i, kind, content)
			}
			if err := o.in.update(); err != nil {
				t.Fatal(err)
			}
			kind, content = o.receive(t)
		}
		if kind != typeApplication || string(content) != "pong" {
			t.Fatalf("round %d: %d %q", i, kind, content)
		}
	}
}

// Keys are replaced after so many records, and crypto/tls follows.
func TestKeysWearOut(t *testing.T) {
	for _, peer := range []bool{true, false} {
		a, b := pair(t)
		c, s := mixedPair(t, a, b, peer)
		c.own.out.limit = 3
		if s.own != nil {
			s.own.out.limit = 2
		}
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			c.Write(want[:100])
			c.Flush()
			c.Write(want[100:])
			c.CloseWrite()
		}()
		if got := readAll(t, s, len(want)); !bytes.Equal(got, want) {
			t.Fatal("bytes differ")
		}
		if err := s.Fill(); err != io.EOF {
			t.Fatal(err)
		}
		if <-sent; c.own.out.seq > 3 {
			t.Errorf("%d records with one key", c.own.out.seq)
		}
	}
}

// mixedPair is a client with records of its own, and a server with or without.
func mixedPair(t testing.TB, a, b *Conn, both bool) (client, server *Conn) {
	t.Helper()
	if both {
		return tlsPair(t, a, b)
	}
	sc, cc := config(t)
	done := make(chan error, 1)
	ts := tls.Server(b.nc, sc)
	go func() { done <- ts.Handshake() }()
	c, err := Client(t.Context(), a, cc)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return c, NewTLS(New(b.nc), ts)
}

func FuzzRecords(f *testing.F) {
	f.Add([]byte("\x17\x02\x00hi\x15\x02\x00\x01\x00"), false)
	f.Add([]byte("\x16\x05\x00\x18\x00\x00\x01\x01\x17\x02\x01hi"), true)
	f.Fuzz(func(t *testing.T, script []byte, raw bool) {
		x, y := net.Pipe()
		u := New(x)
		u.below = true
		c := &Conn{nc: x, under: u, want: classRead}
		c.own = &own{in: testHalf(t, rfcClient), out: testHalf(t, rfcServer), client: raw}
		h := testHalf(t, rfcClient)
		var want, wire []byte
		clean := true
		for len(script) >= 3 && clean {
			kind, n, pad := script[0], int(script[1]), int(script[2])
			script = script[3:]
			n = min(n, len(script))
			b := make([]byte, recordHead+n+recordTail+pad)
			copy(b[recordHead:], script[:n])
			b[recordHead+n] = kind
			putHead(b, n+pad)
			h.aead.Seal(b[recordHead:recordHead], h.count(), b[recordHead:recordHead+n+pad+1], b[:recordHead])
			wire = append(wire, b...)
			if clean = kind == typeApplication; clean {
				want = append(want, script[:n]...)
			}
			script = script[n:]
		}
		wire = append(wire, script...) // and then anything
		go func() {
			y.Write(wire)
			y.Close()
		}()
		go io.Copy(io.Discard, y)
		var got []byte
		var err error
		for err == nil {
			err = c.Fill()
			got = append(got, c.Buffered()...)
			c.Discard(len(c.Buffered()))
		}
		if clean && !bytes.HasPrefix(want, got) {
			t.Fatalf("%q came out of %q", got, want)
		}
		c.Close()
	})
}
