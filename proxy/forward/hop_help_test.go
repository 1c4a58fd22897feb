package forward_test

import (
	"log/slog"
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

var quiet = slog.New(slog.DiscardHandler)

// tellTimeout answers gRPC calls and tells the time that they were given.
func tellTimeout(seen chan<- string) func(*h2.Stream) {
	return func(s *h2.Stream) {
		v, _ := http.Get(s.Request().Fields, "grpc-timeout")
		seen <- string(v)
		_ = s.WriteHead(&http.Response{Status: 200, Fields: []http.Field{field("content-type", "application/grpc"), field("grpc-status", "0")}}, true)
	}
}

// refuseLate takes a while to say that it will not.
func refuseLate(s *h2.Stream) {
	time.Sleep(50 * time.Millisecond) // the time that the next try has less
	s.Reset(h2.CodeRefusedStream)
}
