package trace

import "testing"

// FuzzRejected: whatever a collector answers.
func FuzzRejected(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x0a, 0x02, 0x08, 0x05})
	f.Add([]byte{0x0a, 0x04, 0x08, 0x05, 0x12, 0x00})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, answer []byte) {
		if n := rejected(answer); len(answer) == 0 && n != 0 {
			t.Fatalf("an empty answer rejects %d", n)
		}
	})
}
