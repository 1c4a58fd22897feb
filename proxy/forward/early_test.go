package forward_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

// An application may answer before it has read the request, and never read the
// rest: the exchange is over with the answer, whatever still waits to be sent.
func TestAnswerBeforeTheRequestWasRead(t *testing.T) {
	answer, quit := make(chan struct{}), make(chan struct{})
	out, _, _ := meshed(t, rawApp(t, func(s *h2.Stream) {
		<-answer
		_ = s.WriteHead(&http.Response{Status: 200, Fields: []http.Field{field("content-type", "application/grpc"), field("grpc-status", "0")}}, true)
		<-quit
	}))
	t.Cleanup(func() { close(quit) })
	s, err := h2To(t, out).Open(grpcRequest(field("grpc-timeout", "1M")), false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := s.Write(make([]byte, 8<<20))
		sent <- err
	}()
	// Until nothing is taken any more.
	for room := -1; room != 0; {
		time.Sleep(100 * time.Millisecond)
		if now := s.Room(); now == room {
			break
		} else {
			room = now
		}
	}
	close(answer)
	var h http.Response
	if err := s.ReadHead(&h); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Next(); err != io.EOF {
		t.Fatal(err)
	}
	select {
	case err := <-sent:
		var se *h2.StreamError
		if !errors.As(err, &se) || se.Code != h2.CodeNo {
			t.Errorf("the client is told %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the request is still carried")
	}
}
