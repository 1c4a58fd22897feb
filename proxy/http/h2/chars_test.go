package h2

import (
	"bytes"
	"strings"
	"testing"
)

// The look at a name's length and first letter passes over none that matters,
// in any case, and no other name is taken for one.
func TestNameClasses(t *testing.T) {
	classes := map[string]int{"": classDrop, ":": classDrop, ":path": classDrop, ":" + strings.Repeat("x", 40): classDrop,
		"te": classTE, "host": classDrop, "cookie": classCookie, "upgrade": classDrop, "connection": classDrop, "keep-alive": classDrop,
		"authorization": classSecret, "proxy-connection": classDrop, "transfer-encoding": classDrop, "proxy-authorization": classSecret}
	for name, want := range classes {
		for _, n := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:len(name)/2]) + name[len(name)/2:]} {
			if got := nameClassFold([]byte(n)); got != want {
				t.Errorf("%q: %d, want %d", n, got, want)
			}
		}
		if got := nameClass([]byte(name)); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
		// One letter more, less, or another one is another field.
		for i := range len(name) {
			other := []byte(name)
			other[i] ^= 1
			for _, n := range [][]byte{other, []byte(name[:i]), append([]byte(name), 'x')} {
				if _, known := classes[string(n)]; known || bytes.HasPrefix(n, []byte(":")) {
					continue
				}
				if a, b := nameClass(n), nameClassFold(n); a != classField || b != classField {
					t.Errorf("%q: %d and %d, want %d", n, a, b, classField)
				}
			}
		}
	}
}
