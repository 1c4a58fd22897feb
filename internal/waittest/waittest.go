// Package waittest waits, in tests, for what must come.
package waittest

import (
	"testing"
	"time"
)

// Limit is how long anything may take. It is long: it is met only where what is
// awaited does not come at all.
const Limit = 15 * time.Second

// Until returns when ok says true, and fails the test where that does not happen
// within Limit.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(Limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Limit, what)
		}
	}
}
