package load

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// Errors of a slice; they make it worthless.
var (
	// ErrAnswers means that some answers were not the expected ones.
	ErrAnswers = errors.New("not every answer was right")
	// ErrNothing means that not one answer came.
	ErrNothing = errors.New("no answer came")
	// ErrOutput means that a generator's output could not be read.
	ErrOutput = errors.New("output not understood")
)

// Generator names who makes the load.
type Generator string

// The generators.
const (
	Wrk      Generator = "wrk"         // HTTP/1.1, closed loop
	H2load   Generator = "h2load"      // HTTP/2, closed loop
	Fortio   Generator = "fortio"      // HTTP/1.1 at a constant rate
	Health   Generator = "fortio-grpc" // gRPC health checks, closed loop
	Open     Generator = "open"        // HTTP/1.1 at a constant rate, open loop
	Unary    Generator = "unary"       // gRPC, closed loop
	Stream   Generator = "stream"      // messages on long gRPC streams, closed loop
	Exchange Generator = "exchange"    // 1 KiB there and back on long TCP connections
	Bulk     Generator = "bulk"        // 1 MiB answers on long TCP connections
	Connect  Generator = "connect"     // one exchange on each new TCP connection
	Hold     Generator = "hold"        // connections that stay idle after one request
)

// Spec is a load.
type Spec struct {
	Generator   Generator
	Address     string // host:port
	Path        string // of HTTP; default is /
	Connections int
	Streams     int // at a time on each connection, where there are several
	Rate        int // requests a second of all connections; 0 is as many as possible
	Warm        time.Duration
	Duration    time.Duration // after Warm
}

// Result is what a generator saw of a load.
type Result struct {
	Requests uint64  `json:"requests"`
	Errors   uint64  `json:"errors"`
	First    string  `json:"first,omitempty"` // the first error's text
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

// Check returns why the result is worthless, if it is.
func (r Result) Check() error {
	if r.Errors > 0 {
		return &answersError{r}
	}
	if r.Requests == 0 {
		return ErrNothing
	}
	return nil
}

type answersError struct{ r Result }

func (e *answersError) Error() string {
	b, _ := json.Marshal(e.r) // a struct of numbers and a text cannot fail
	return ErrAnswers.Error() + ": " + string(b)
}

func (e *answersError) Unwrap() error { return ErrAnswers }

// Quantile returns the q-th quantile of ascending values, 0 if there are none.
func Quantile(sorted []int64, q float64) int64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}

// latencies turns nanoseconds into a result's milliseconds.
func (r *Result) latencies(ns []int64) {
	slices.Sort(ns)
	r.P50, r.P99 = float64(Quantile(ns, .5))/1e6, float64(Quantile(ns, .99))/1e6
}

// request is what HTTP/1.1 generators send: ten fields, about 480 bytes.
var fields = [][2]string{
	{"User-Agent", "load/1.0 (bench)"}, {"Accept", "application/json"}, {"Accept-Encoding", "gzip, deflate"}, {"Accept-Language", "en-US,en;q=0.9"},
	{"X-Request-Id", "2f1c6f0a-9b9c-4f6e-8a55-0d2b8c3c7d11"}, {"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	{"Authorization", "Bearer abcdefghijklmnopqrstuvwxyz0123456789"}, {"Cookie", "session=0123456789abcdef0123456789abcdef"},
}

const host = "api.default.svc.cluster.local"

func (s Spec) path() string {
	if s.Path == "" {
		return "/api/v1/items?id=42"
	}
	return s.Path
}

func (s Spec) request() []byte {
	b := []byte("GET " + s.path() + " HTTP/1.1\r\nHost: " + host + "\r\n")
	for _, f := range fields {
		b = append(b, f[0]+": "+f[1]+"\r\n"...)
	}
	return append(b, "\r\n"...)
}
