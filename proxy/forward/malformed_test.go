package forward

import (
	"errors"
	"testing"

	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/http/h2"
)

func TestUnanswered(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Cause
	}{
		{errors.New("reset"), Reset},
		{h1.ErrStatusLine, Malformed},
		{errInterim, Malformed},
		{&h2.StreamError{Code: h2.CodeProtocol, Reason: "invalid field name"}, Malformed},
		{&h2.StreamError{Code: h2.CodeProtocol, Remote: true}, Reset},
		{&h2.StreamError{Code: h2.CodeCancel}, Reset}, // by ourselves
		{&h2.StreamError{Code: h2.CodeRefusedStream, Remote: true, Unprocessed: true}, NotProcessed},
		{&h2.StreamError{Code: h2.CodeRefusedStream, Unprocessed: true, Reason: "not sent"}, NotProcessed},
		{&h2.ConnError{Code: h2.CodeProtocol, Reason: "bad frame"}, Reset},
	} {
		if got := unanswered(c.err); got != c.want {
			t.Errorf("%v: %d, want %d", c.err, got, c.want)
		}
	}
}
