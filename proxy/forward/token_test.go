package forward

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
)

// FuzzToken: a token is read as it was written, or not at all.
func FuzzToken(f *testing.F) {
	f.Add("00112233445566778899aabbccddeeff")
	f.Add("00112233445566778899AABBCCDDEEFF")
	f.Add("00112233445566778899aabbccddeefg")
	f.Add("00112233445566778899aabbccddee")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		var got token
		got.read([]http.Field{{Name: []byte("Weft-Flow"), Value: []byte(s)}})
		if got == (token{}) {
			return
		}
		if hex.EncodeToString(got[:]) != strings.ToLower(s) {
			t.Fatalf("%q is read as %x", s, got)
		}
		var again token
		if again.read(got.field()); again != got {
			t.Fatalf("%x is written as %q", got, got.field())
		}
	})
}
