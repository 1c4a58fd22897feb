package admission

import (
	"context"
	"strings"
	"testing"
)

// slow knows no services, and answers when it is let.
type slow struct{ asked, answer chan struct{} }

func (s slow) HasService(context.Context, string, string) (bool, error) {
	s.asked <- struct{}{}
	<-s.answer
	return false, nil
}

func TestTurns(t *testing.T) {
	s := slow{make(chan struct{}), make(chan struct{})}
	j := NewTurns(Judge{Services: s})
	raw := []byte(`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a","namespace":"shop"},"spec":{"hosts":["api"],"http":[{"timeout":"-1s","redirect":{"uri":"/x"}}]}}`)
	done := make(chan []string)
	go func() {
		faults, _, _ := j.Judge(t.Context(), raw, nil)
		done <- faults
	}()
	<-s.asked // the first is being judged
	late, cancel := context.WithCancel(t.Context())
	cancel()
	faults, warnings, err := j.Judge(late, raw, nil)
	if len(faults) != 0 || len(warnings) != 1 || !strings.Contains(warnings[0], "not looked at") || err != nil {
		t.Errorf("beside another: %q, %q, %v", faults, warnings, err)
	}
	j.patience = 0
	if faults, warnings, _ = j.Judge(t.Context(), raw, nil); len(faults) != 0 || len(warnings) != 1 {
		t.Errorf("after some time: %q, %q", faults, warnings)
	}
	close(s.answer)
	if faults := <-done; len(faults) == 0 {
		t.Error("the first is not judged")
	}
	j.patience = patience
	go func() { <-s.asked }()
	if faults, _, _ := j.Judge(t.Context(), raw, nil); len(faults) == 0 {
		t.Error("the next is not judged")
	}
}
