package proxytest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

func TestRetriesOnlyWhatIsListed(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		n.Add(1)
		b, _ := io.ReadAll(q.Body)
		w.Header().Set("x-flavour", q.Header.Get("flavour"))
		if q.URL.Path == "/reset" {
			panic(http.ErrAbortHandler)
		}
		var code int
		fmt.Sscan(q.URL.Path[1:], &code)
		w.WriteHeader(code)
		w.Write(b)
	})
	header, err := route.NewHeaderCondition(route.ValueMatch{Name: "x-flavour", Value: "sour"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		on     retry.On
		method string
		path   string
		sour   bool
		tries  int64
	}{
		{retry.ServerError, "POST", "/503", false, 3},
		{retry.ServerError, "GET", "/404", false, 1},
		{retry.GatewayError, "GET", "/500", false, 1},
		{retry.GatewayError, "GET", "/502", false, 3},
		{retry.Retriable4xx, "GET", "/409", false, 3},
		{retry.StatusCodes, "GET", "/418", false, 3},
		{retry.StatusCodes, "GET", "/503", false, 1},
		{retry.Headers, "GET", "/200", true, 3},
		{retry.Headers, "GET", "/200", false, 1},
		{retry.ConnectFailure, "POST", "/reset", false, 1},
		{retry.Reset, "POST", "/reset", false, 3},
		{0, "GET", "/503", false, 1},
	} {
		r.rule(&route.Traffic{Retry: &retry.Policy{On: c.on, Retries: 2, Base: time.Millisecond, Statuses: []uint32{418}, Headers: []retry.Condition{header}}})
		for _, h2c := range []bool{false, true} {
			n.Store(0)
			q, _ := http.NewRequest(c.method, r.url+c.path, strings.NewReader(strings.Repeat("b", 3000)))
			if c.sour {
				q.Header.Set("flavour", "sour")
			}
			resp, err := client(t, h2c).Do(q)
			if err != nil {
				t.Fatalf("%s %s: %v", c.on, c.path, err)
			}
			body, err := io.ReadAll(resp.Body)
			if n.Load() != c.tries || err != nil || c.path != "/reset" && len(body) != 3000 {
				t.Errorf("%q on %s (http2 %v): %d tries, want %d; %d with %d bytes, %v", c.on, c.path, h2c, n.Load(), c.tries, resp.StatusCode, len(body), err)
			}
		}
	}
	r.flagged("URX", 503)
	// What is too long to be held is sent once.
	r.rule(&route.Traffic{MaxHeld: 1000, Retry: &retry.Policy{On: retry.ServerError, Retries: 2}})
	for _, h2c := range []bool{false, true} {
		n.Store(0)
		resp, err := client(t, h2c).Post(r.url+"/503", "", strings.NewReader(strings.Repeat("b", 200_000)))
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); n.Load() != 1 || len(body) != 200_000 {
			t.Errorf("a long body (http2 %v): %d tries, %d bytes back", h2c, n.Load(), len(body))
		}
	}
}

func TestRetriesAvoidWhoWasTried(t *testing.T) {
	var bad, good atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { bad.Add(1); w.WriteHeader(503) })
	second := r.server.Before(h2app(t, func(w http.ResponseWriter, q *http.Request) { good.Add(1) }))
	eps := r.api.Endpoints()
	r.client.Registry.SetEndpoints("api", []upstream.EndpointSpec{*eps[0].Spec(), Meshed(second, ID("api"))})
	r.rule(&route.Traffic{Retry: &retry.Policy{On: retry.ServerError, Retries: 1, Base: time.Millisecond, AvoidPrevious: true}})
	for range 40 {
		if code, _, _ := get(t, r.url); code != 200 {
			t.Fatalf("%d with a good endpoint left", code)
		}
	}
	if good.Load() != 40 {
		t.Errorf("the good one saw %d requests", good.Load())
	}
}

func TestRetryBudgetIsShared(t *testing.T) {
	var n atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { n.Add(1); w.WriteHeader(500) })
	b := retry.NewBudget(0, 1, 10*time.Second, time.Now()) // ten retries in all, at first
	for i := range 2 {
		r.rule(&route.Traffic{Budget: b, Retry: &retry.Policy{On: retry.ServerError, Retries: 1, Base: time.Millisecond}})
		for range 20 {
			if code, _, _ := get(t, r.url); code != 500 {
				t.Fatalf("round %d: %d", i, code)
			}
		}
	}
	if n.Load() != 50 {
		t.Errorf("%d tries of 40 requests with a budget of 10 retries", n.Load())
	}
	r.flagged("URX", 500)
}
