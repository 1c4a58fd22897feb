package sidecar

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	cav1 "github.com/weftmesh/weft/gen/weft/ca/v1"
)

func TestSignMessages(t *testing.T) {
	var req cav1.SignRequest
	if err := proto.Unmarshal(appendSignRequest(nil, []byte("request")), &req); err != nil || string(req.Csr) != "request" {
		t.Errorf("%v, %v", &req, err)
	}
	b, err := proto.Marshal(&cav1.SignResponse{Chain: [][]byte{[]byte("leaf"), []byte("issuer")}, Roots: [][]byte{[]byte("root")}})
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, 0x18, 0x05) // a field of a later version
	chain, roots, err := readSignResponse(b)
	if err != nil || len(chain) != 2 || string(chain[1]) != "issuer" || len(roots) != 1 || string(roots[0]) != "root" {
		t.Errorf("%q %q %v", chain, roots, err)
	}
	if _, _, err := readSignResponse(b[:3]); err == nil {
		t.Error("half a response is accepted")
	}
}

func FuzzSignResponse(f *testing.F) {
	for _, s := range []string{"", "\x0a\x04leaf\x12\x04root", "\x0a\x04le", "\x0a\xff\xff\xff\xff\x0f", "\x18\x05", "\x08\x01", "\x0b\x0c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var want cav1.SignResponse
		chain, roots, err := readSignResponse(b)
		if proto.Unmarshal(b, &want) != nil || len(want.ProtoReflect().GetUnknown()) > 0 {
			return // what the other decoder refuses, or what it keeps apart
		}
		if err != nil || len(chain) != len(want.Chain) || len(roots) != len(want.Roots) {
			t.Fatalf("%q %q %v, want %v", chain, roots, err, &want)
		}
		for i := range chain {
			if !bytes.Equal(chain[i], want.Chain[i]) {
				t.Fatalf("%q, want %q", chain, want.Chain)
			}
		}
	})
}
