// Package seedtest gives tests that draw lots the same lots in every run, and others
// to whoever looks for more.
package seedtest

import (
	"math/rand"
	"os"
	"strconv"
	"testing"
	"time"
)

// Env is the environment variable that chooses: a number, or "new" for one that
// nobody has had.
const Env = "WEFT_SEED"

// Of is the seed of this run, 1 where nobody chose. A failing test shows it.
func Of(t testing.TB) uint64 {
	t.Helper()
	n := uint64(1)
	switch s := os.Getenv(Env); s {
	case "":
	case "new":
		n = uint64(time.Now().UnixNano())
	default:
		var err error
		if n, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s=%s: want a number or \"new\"", Env, s)
		}
	}
	t.Logf("%s=%d", Env, n)
	return n
}

// Rand is a source for testing/quick.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewSource(int64(Of(t)))) //nolint:gosec // lots, not secrets
}
