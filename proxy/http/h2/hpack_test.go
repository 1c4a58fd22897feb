package h2

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
	"golang.org/x/net/http2/hpack"
)

// The examples of RFC 7541, appendix C.2 to C.4: requests, plain and Huffman
// coded, on one connection each.
func TestHPACKExamples(t *testing.T) {
	for _, series := range [][]struct{ hex, want string }{
		{
			{"400a637573746f6d2d6b65790d637573746f6d2d686561646572", "custom-key=custom-header"},
			{"be", "custom-key=custom-header"},
		},
		{
			{"828684410f7777772e6578616d706c652e636f6d", "GET http www.example.com /"},
			{"828684be58086e6f2d6361636865", "GET http www.example.com / cache-control=no-cache"},
			{"828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", "GET https www.example.com /index.html custom-key=custom-value"},
		},
		{
			{"828684418cf1e3c2e5f23a6ba0ab90f4ff", "GET http www.example.com /"},
			{"828684be5886a8eb10649cbf", "GET http www.example.com / cache-control=no-cache"},
			{"828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", "GET https www.example.com /index.html custom-key=custom-value"},
		},
	} {
		d := newDecoder()
		for _, c := range series {
			var in []byte
			if _, err := fmt.Sscanf(c.hex, "%x", &in); err != nil {
				t.Fatal(err)
			}
			h := decodeHead(t, hpackCodec{nil, d}, in)
			var got []string
			for _, p := range [][]byte{h.method, h.scheme, h.authority, h.path} {
				if p != nil {
					got = append(got, string(p))
				}
			}
			for _, f := range h.fields() {
				got = append(got, string(f.Name)+"="+string(f.Value))
			}
			if g := strings.Join(got, " "); g != c.want || h.bad != "" {
				t.Errorf("%s: got %q (%s), want %q", c.hex, g, h.bad, c.want)
			}
		}
	}
}

func decodeHead(t testing.TB, c headCodec, block []byte) *headReader {
	t.Helper()
	h := &headReader{}
	h.reset(&headMem{}, 1<<20)
	if err := c.decode(h, block); err != nil {
		t.Fatalf("%x: %v", block, err)
	}
	return h
}

// pool of fields that repeat, so that the tables work, with some that are long
// and some that never return.
func someFields(rnd *rand.Rand) []http.Field {
	names := []string{"accept", "content-type", "cookie", "x-a", "x-long-name-of-a-field-that-takes-room", "authorization", "date", "user-agent", ":x"[1:], "vary"}
	var out []http.Field
	for range rnd.IntN(20) {
		name := names[rnd.IntN(len(names))]
		value := strings.Repeat(string(rune('a'+rnd.IntN(4))), rnd.IntN(4)*rnd.IntN(300))
		if rnd.IntN(5) == 0 {
			value = fmt.Sprint(rnd.Uint64())
		}
		out = append(out, field(name, value))
	}
	return out
}

// Our encoder is understood by golang.org/x/net's decoder and by our own, over
// many heads and changes of the table's size.
func TestEncoderIsUnderstood(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		e, d := newEncoder(), newDecoder()
		var got []http.Field
		theirs := hpack.NewDecoder(tableSize, func(f hpack.HeaderField) { got = append(got, field(f.Name, f.Value)) })
		for range 60 {
			for rnd.IntN(10) == 0 {
				e.setMax(uint32(rnd.IntN(2 * tableSize)))
			}
			want := someFields(rnd)
			block := e.appendTrailers([]byte("before"), want)[len("before"):]
			got = nil
			if _, err := theirs.Write(block); err != nil {
				t.Fatal(seed, err)
			}
			if err := theirs.Close(); err != nil {
				t.Fatal(seed, err)
			}
			if !sameFields(got, want) {
				t.Fatalf("seed %d: x/net read\n%q, want\n%q", seed, got, want)
			}
			if h := decodeHead(t, hpackCodec{nil, d}, block); h.bad != "" || !sameFields(h.fields(), want) {
				t.Fatalf("seed %d: we read %q\n%q, want\n%q", seed, h.bad, h.fields(), want)
			}
			if d.t.size > d.t.max || d.t.max != e.t.max && !e.resized || d.t.len() != e.t.len() {
				t.Fatalf("seed %d: tables of %d and %d entries, limits %d and %d", seed, e.t.len(), d.t.len(), e.t.max, d.t.max)
			}
		}
		if n := cap(e.t.mem); n > 4*tableSize {
			t.Errorf("the table's memory grew to %d", n)
		}
	}
}

// Our decoder understands golang.org/x/net's encoder.
func TestDecoderUnderstands(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		var buf bytes.Buffer
		theirs := hpack.NewEncoder(&buf)
		d := newDecoder()
		for range 60 {
			if rnd.IntN(10) == 0 {
				theirs.SetMaxDynamicTableSize(uint32(rnd.IntN(tableSize)))
			}
			buf.Reset()
			want := someFields(rnd)
			for _, f := range want {
				_ = theirs.WriteField(hpack.HeaderField{Name: string(f.Name), Value: string(f.Value), Sensitive: rnd.IntN(5) == 0})
			}
			if h := decodeHead(t, hpackCodec{nil, d}, buf.Bytes()); h.bad != "" || !sameFields(h.fields(), want) {
				t.Fatalf("seed %d: we read %q\n%q, want\n%q", seed, h.bad, h.fields(), want)
			}
		}
	}
}

func sameFields(a, b []http.Field) bool {
	return slices.EqualFunc(a, b, func(x, y http.Field) bool {
		return string(x.Name) == string(y.Name) && string(x.Value) == string(y.Value)
	})
}

// What returns is sent as an index, what does not is not kept, and secrets never
// are.
func TestEncoderKeepsWhatReturns(t *testing.T) {
	e := newEncoder()
	one := []http.Field{field("x-request-id", "0123456789"), field("authorization", "Bearer secret"), field("cookie", "short")}
	for range 5 {
		e.appendTrailers(nil, []http.Field{field("x-id", fmt.Sprint(rand.Uint64()))})
	}
	if e.t.len() != 0 {
		t.Errorf("%d values that never return are in the table", e.t.len())
	}
	for range 3 {
		e.appendTrailers(nil, one)
	}
	if e.t.len() != 1 {
		t.Errorf("%d entries, want the one that is no secret", e.t.len())
	}
	if n := len(e.appendTrailers(nil, one[:1])); n != 1 {
		t.Errorf("a field that returned takes %d bytes", n)
	}
}

func TestHPACKFaults(t *testing.T) {
	for _, c := range []struct{ section, name, block string }{
		{"2.3.3", "index beyond the table", "\xbe"},
		{"2.3.3", "index of a name beyond the table", "\x7f\x00\x01a"},
		{"4.2", "size above the setting", "\x3f\xe2\x1f"},
		{"4.2", "size update behind a field", "\x82\x20"},
		{"5.1", "integer without end", "\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"},
		{"5.1", "integer cut off", "\xff\x80"},
		{"5.2", "string cut off", "\x40\x05ab"},
		{"5.2", "string missing", "\x40\x01a"},
		{"5.2", "Huffman padding too long", "\x00\x01a\x82\x1f\xff"},
		{"5.2", "Huffman padding of zeros", "\x00\x01a\x81\x18"},
		{"5.2", "Huffman EOS", "\x00\x01a\x84\xff\xff\xff\xff"},
		{"6.1", "index 0", "\x80"},
	} {
		h := &headReader{}
		h.reset(&headMem{}, 1<<20)
		if err := newDecoder().decode(h, []byte(c.block)); err == nil || err.Code != CodeCompression {
			t.Errorf("section %s, %s: got %v", c.section, c.name, err)
		}
	}
}

// FuzzHPACK gives two blocks to our decoder and to golang.org/x/net's: they
// accept the same, read the same, and have the same table afterwards.
func FuzzHPACK(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x0fwww.example.com"), []byte("\x82\x86\x84\xbe\x58\x08no-cache"))
	f.Add([]byte("\x40\x0acustom-key\x0dcustom-header"), []byte("\xbe\x7e\x01x\x20"))
	f.Add([]byte("\x20\x3f\xe1\x1f\x40\x82\x1f\xff\x01b"), []byte("\x3f\x09\x40\x01a\x01b\xbf"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		d := newDecoder()
		var theirFields []hpack.HeaderField
		theirs := hpack.NewDecoder(tableSize, func(f hpack.HeaderField) { theirFields = append(theirFields, f) })
		decode := func(block []byte) bool {
			theirFields = nil
			_, err := theirs.Write(block)
			if e := theirs.Close(); err == nil {
				err = e
			}
			h := &headReader{}
			h.reset(&headMem{}, 1<<20)
			ours := d.decode(h, block)
			if ours != nil && err == nil {
				// They take a size update behind a field while the table is empty.
				if sizeUpdateInside(block) {
					return false
				}
				t.Fatalf("we refuse %x: %v", block, ours)
			}
			if ours == nil && err != nil && sizeUpdates(block) > 1 {
				// They take one alone where the table is not empty; RFC 7541, section
				// 4.2, has two where the size went down and up again.
				return false
			}
			if ours == nil && err != nil && !errors.Is(err, hpack.ErrStringLength) {
				t.Fatalf("we accept %x: %v", block, err)
			}
			if ours != nil {
				return false
			}
			if h.bad != "" || h.large {
				return true
			}
			var want []http.Field
			for _, f := range theirFields {
				if !f.IsPseudo() && f.Name != "host" {
					want = append(want, field(f.Name, f.Value))
				}
			}
			if !sameFields(h.fields(), want) {
				t.Fatalf("%x: got %q, want %q", block, h.fields(), want)
			}
			return true
		}
		if !decode(one) || !decode(two) {
			return
		}
		if d.t.size > d.t.max {
			t.Fatalf("the table has %d bytes of %d", d.t.size, d.t.max)
		}
		for i := 0; ; i++ {
			e := d.at(uint64(len(staticTable) + i))
			block := appendInt(nil, 0x80, 7, uint64(len(staticTable)+i))
			theirFields = nil
			_, err := theirs.Write(block)
			_ = theirs.Close()
			if (e == nil) != (err != nil) {
				t.Fatalf("entry %d: we have it: %v, they: %v", i, e != nil, err)
			}
			if e == nil {
				return
			}
			if name, value := d.t.bytes(e); string(name) != theirFields[0].Name || string(value) != theirFields[0].Value {
				t.Fatalf("entry %d: %q=%q, want %v", i, name, value, theirFields[0])
			}
		}
	})
}

// sizeUpdates counts the size updates that a block begins with.
func sizeUpdates(block []byte) (n int) {
	for ; len(block) > 0 && block[0]&0xe0 == 0x20; n++ {
		more := block[0]&0x1f == 0x1f
		for block = block[1:]; more && len(block) > 0; block = block[1:] {
			more = block[0]&0x80 != 0
		}
	}
	return n
}

// sizeUpdateInside says that a block may have a size update behind a field.
func sizeUpdateInside(block []byte) bool {
	for i := range block {
		if i > 0 && block[i]&0xe0 == 0x20 {
			return true
		}
	}
	return false
}
