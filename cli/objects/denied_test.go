package objects

import (
	"strings"
	"testing"
)

func TestUnlisted(t *testing.T) {
	denial := func(resource string) string {
		return resource + `: failed to list *v1.X: ` + resource + ` is forbidden: User "eve" cannot list resource "x" in API group "" at the cluster scope`
	}
	got := unlisted([]string{denial("customresourcedefinitions/a.example"), denial("customresourcedefinitions/b.example"), denial("pods"), "services: connection refused"})
	if !strings.HasPrefix(got, `user "eve" may not list customresourcedefinitions, pods in all namespaces; `) || !strings.HasSuffix(got, "; services: connection refused") {
		t.Error(got)
	}
	got = unlisted([]string{"a: 1", "b: 2", "c: 3", "d: 4", "e: 5"})
	if got != "a: 1; b: 2; c: 3; and 2 more" {
		t.Error(got)
	}
}

// TestEndIfDenied: what is refused once may be a moment's state of the API
// server; twice it is not.
func TestEndIfDenied(t *testing.T) {
	asked := 0
	endIfDenied(t.Context(), func() []string {
		if asked++; asked == 1 {
			return []string{"pods: connection refused"}
		}
		return []string{`pods: pods is forbidden: User "eve" cannot list resource "pods"`}
	})
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}
