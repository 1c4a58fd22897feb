package objects

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lookEvery is how often a listing is asked what it waits for.
const lookEvery = 250 * time.Millisecond

// endIfDenied returns when the API server has refused something twice in a row
// in the same words: it will not change its mind, and a source asks on and on.
func endIfDenied(ctx context.Context, waiting func() []string) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var before []string
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		now := slices.DeleteFunc(waiting(), func(s string) bool { return !refused.MatchString(s) })
		if len(now) > 0 && slices.Equal(now, before) {
			return
		}
		before = now
	}
}

// refused is what the API server says of a user who lacks a right.
var refused = regexp.MustCompile(`is forbidden:(?: User "([^"]*)")?`)

// most errors that are told one by one.
const most = 3

// unlisted says what is waited for: all that is refused in one sentence, other
// errors one by one.
func unlisted(waiting []string) string {
	var denied, others []string
	user := "you"
	for _, w := range waiting {
		resource, why, _ := strings.Cut(w, ": ")
		if m := refused.FindStringSubmatch(why); m != nil {
			resource, _, _ = strings.Cut(resource, "/")
			if m[1] != "" {
				user = "user " + strconv.Quote(m[1])
			}
			if !slices.Contains(denied, resource) {
				denied = append(denied, resource)
			}
			continue
		}
		others = append(others, w)
	}
	var out []string
	if len(denied) > 0 {
		out = append(out, fmt.Sprintf("%s may not list %s in all namespaces; the command needs the right to list and watch what the control plane reads (kubectl describe clusterrole weft-control)", user, strings.Join(denied, ", ")))
	}
	if n := len(others) - most; n > 0 {
		others = append(others[:most], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(append(out, others...), "; ")
}
