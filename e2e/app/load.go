package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/weftmesh/weft/e2e/app/report"
)

// answer is what one request brought.
type answer struct {
	backend, version string
	code             string // HTTP status, gRPC code, or "ok"
}

// caller makes one request of one protocol. An error is a request that failed.
type caller interface {
	call(ctx context.Context) (answer, error)
}

// tally collects answers into a report.
type tally struct {
	report.Report
	slice     time.Duration
	latencies []time.Duration
	buckets   map[int64]*report.Bucket
}

// load sends requests at a constant rate, whatever the answers take, so that
// a stall is seen as many late requests and not as fewer requests. After a
// stall of its own it sends at once what has become due meanwhile.
func load(ctx context.Context, args []string, out io.Writer) error {
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	proto := fs.String("proto", "http", "http, h2c, grpc, upgrade, websocket, websocket-h2, tcp, server-first or tls")
	target := fs.String("target", "", "URL for http, h2c, upgrade and WebSockets, host:port for the others")
	rate := fs.Float64("rate", 10, "requests per second")
	span := fs.Duration("for", 10*time.Second, "how long; 0 means until SIGTERM")
	timeout := fs.Duration("timeout", 10*time.Second, "of one request")
	count := fs.Int("n", 0, "number of requests; 0 means as many as fit in the time")
	most := fs.Int("most", 1<<20, "requests under way at the same time; what is due beyond that is sent as soon as others end")
	slice := fs.Duration("timeline", 0, "also report per slice of time of this length")
	fresh := fs.Bool("new-connections", false, "a new connection for each request")
	hold := fs.Duration("hold", 0, "how long to keep a connection of upgrade, tcp or server-first; it must carry bytes still after that")
	until := fs.String("hold-until", "", "keep such a connection until there is this file")
	name := fs.String("sni", "", "server name of tls; empty sends none")
	body := fs.String("body", "", "what to send")
	method := fs.String("method", "", "HTTP method; default is GET, or POST with a body")
	var headers headerFlag
	fs.Var(&headers, "header", "name=value, repeatable")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *target == "" || *rate <= 0 {
		return errors.New("load: -target and a positive -rate are needed")
	}
	c, err := newCaller(*proto, *target, *method, *body, *name, headers, *fresh, holding{*hold, *until})
	if err != nil {
		return err
	}
	if fit := int(span.Seconds() * *rate); *span > 0 && (*count == 0 || fit < *count) {
		*count = max(fit, 1)
	}
	r := newTally(*slice)
	var mu sync.Mutex
	var open sync.WaitGroup
	places := make(chan struct{}, *most)
	started := time.Now()
	for *count == 0 || r.Sent < *count {
		due := started.Add(time.Duration(float64(r.Sent) / *rate * float64(time.Second)))
		if wait(ctx, time.Until(due)) != nil {
			break
		}
		places <- struct{}{}
		r.Sent++
		began := time.Now()
		open.Go(func() {
			defer func() { <-places }()
			one, cancel := context.WithTimeout(context.Background(), *timeout)
			defer cancel()
			a, err := c.call(one)
			mu.Lock()
			defer mu.Unlock()
			r.add(began, a, err)
		})
	}
	open.Wait()
	r.finish()
	return json.NewEncoder(out).Encode(r.Report)
}

func newTally(slice time.Duration) *tally {
	r := &tally{slice: slice, Report: report.Report{Began: time.Now(), Codes: map[string]int{}, Backends: map[string]int{}, Versions: map[string]int{}, Errors: map[string]int{}}}
	if slice > 0 {
		r.buckets = map[int64]*report.Bucket{}
	}
	return r
}

func (r *tally) add(began time.Time, a answer, err error) {
	took := time.Since(began)
	r.latencies = append(r.latencies, took)
	var b *report.Bucket
	if r.buckets != nil {
		at := began.Truncate(r.slice)
		if b = r.buckets[at.UnixNano()]; b == nil {
			b = &report.Bucket{At: at, Versions: map[string]int{}}
			r.buckets[at.UnixNano()] = b
		}
	}
	if a.code != "" {
		r.Codes[a.code]++
	}
	if err != nil {
		r.Failed++
		r.FailedMax = max(r.FailedMax, milliseconds(took))
		if b != nil {
			b.Failed++
		}
		if e := err.Error(); len(r.Errors) < 20 || r.Errors[e] > 0 {
			r.Errors[e]++
		}
		return
	}
	r.OK++
	r.Backends[a.backend]++
	r.Versions[a.version]++
	if b != nil {
		b.Versions[a.version]++
	}
}

func (r *tally) finish() {
	slices.Sort(r.latencies)
	at := func(q float64) float64 {
		if len(r.latencies) == 0 {
			return 0
		}
		return milliseconds(r.latencies[int(q*float64(len(r.latencies)-1))])
	}
	r.P50, r.P99, r.Max = at(0.5), at(0.99), at(1)
	for _, k := range slices.Sorted(maps.Keys(r.buckets)) {
		r.Timeline = append(r.Timeline, *r.buckets[k])
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// headerFlag collects name=value pairs.
type headerFlag [][2]string

func (h *headerFlag) String() string { return fmt.Sprint(*h) }

func (h *headerFlag) Set(s string) error {
	for i := range s {
		if s[i] == '=' {
			*h = append(*h, [2]string{s[:i], s[i+1:]})
			return nil
		}
	}
	return fmt.Errorf("%q: name=value is wanted", s)
}
