package proxytest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// inTime repeats something that a time limit is set for with longer and longer
// ones, until it says that it was in time: no machine need be fast.
func inTime(t testing.TB, what string, do func(limit time.Duration) bool) {
	t.Helper()
	for limit := 150 * time.Millisecond; !do(limit); limit *= 2 {
		if limit > 10*time.Second {
			t.Fatal("not in time, however long that is: ", what)
		}
	}
}

func TestRouteTimeout(t *testing.T) {
	gone := make(chan string, 100)
	var reached atomic.Int64
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/fast" {
			io.Copy(io.Discard, q.Body)
			return
		}
		reached.Add(1)
		if q.URL.Path == "/begun" {
			http.NewResponseController(w).Flush()
		}
		<-q.Context().Done()
		gone <- q.URL.Path
	})
	// Whoever was reached is told of the end.
	ends := func() {
		t.Helper()
		for ; reached.Load() > 0; reached.Add(-1) {
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Fatal("the application still works for a request that timed out")
			}
		}
	}
	for _, h2c := range []bool{false, true} {
		c := client(t, h2c)
		inTime(t, "the application is reached", func(limit time.Duration) bool {
			r.rule(&route.Traffic{Timeout: limit})
			begun := time.Now()
			resp, err := c.Get(r.url + "/wait")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if took := time.Since(begun); resp.StatusCode != 504 || took < limit || resp.Header.Get("weft-proxy-error") != forward.ReasonTimeout {
				t.Errorf("http2 %v: %d %q after %s, with a timeout of %s", h2c, resp.StatusCode, body, took, limit)
			}
			return reached.Load() > 0
		})
		ends()
		cutOff(t, c, r, func(limit time.Duration) *route.Traffic { return &route.Traffic{Timeout: limit} })
		ends()
		// Those in time are not touched, on connections that live on; nor is what
		// comes on them when the time that they had is over.
		inTime(t, "twenty requests", func(limit time.Duration) bool {
			r.rule(&route.Traffic{Timeout: limit})
			for range 20 {
				resp, err := c.Get(r.url + "/fast")
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode == 504 {
					return false
				}
				if resp.StatusCode != 200 {
					t.Fatal(resp.Status)
				}
			}
			r.rule(&route.Traffic{})
			pr, pw := io.Pipe()
			time.AfterFunc(2*limit, func() { pw.Close() })
			resp, err := c.Post(r.url+"/fast", "", pr)
			if err != nil || resp.StatusCode != 200 {
				t.Fatalf("http2 %v: when the time of others was over: %v %v", h2c, resp, err)
			}
			resp.Body.Close()
			return true
		})
	}
	r.flagged("UT", 504)
	// The time begins with the end of the request.
	inTime(t, "a slow upload", func(limit time.Duration) bool {
		r.rule(&route.Traffic{Timeout: limit})
		pr, pw := io.Pipe()
		go func() {
			for range 6 { // longer in all than the timeout
				time.Sleep(limit / 3)
				pw.Write([]byte("x"))
			}
			pw.Close()
		}()
		resp, err := http.Post(r.url+"/fast", "", pr)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == 200
	})
}

// visits counts what arrives, by path. A try whose time is over may arrive late,
// so each round has a path of its own.
type visits struct {
	mu sync.Mutex
	n  map[string]int
}

// add counts one and says which it is.
func (v *visits) add(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n == nil {
		v.n = map[string]int{}
	}
	v.n[path]++
	return v.n[path]
}

func (v *visits) of(path string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.n[path]
}

func TestTryTimeoutIsFollowedByAnother(t *testing.T) {
	var seen visits
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) {
		if seen.add(q.URL.Path) < 3 {
			<-q.Context().Done()
		}
	})
	p := &retry.Policy{On: retry.GatewayError, Retries: 2, Base: time.Millisecond}
	for _, h2c := range []bool{false, true} {
		inTime(t, "each try arrives", func(limit time.Duration) bool {
			r.rule(&route.Traffic{TryTimeout: limit, Timeout: time.Minute, Retry: p})
			path := fmt.Sprintf("/%v/%s", h2c, limit)
			resp, err := client(t, h2c).Post(r.url+path, "text/plain", strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != 200 && resp.StatusCode != 504 || seen.of(path) > 3 {
				t.Fatalf("%s after %d tries", resp.Status, seen.of(path))
			}
			return resp.StatusCode == 200
		})
	}
	inTime(t, "the only try arrives", func(limit time.Duration) bool {
		r.rule(&route.Traffic{TryTimeout: limit, Retry: &retry.Policy{On: retry.RefusedStream, Retries: 2}})
		path := fmt.Sprintf("/once/%s", limit)
		code, _, _ := get(t, r.url+path)
		if n := seen.of(path); code != 504 || n > 1 {
			t.Fatalf("a try timeout that nothing says to retry: %d after %d tries", code, n)
		}
		return seen.of(path) == 1
	})
}

// The time of a request runs while its connection is being made, too, whenever
// its end comes.
func TestRouteTimeoutBoundsTheFirstConnect(t *testing.T) {
	dialled := make(chan struct{}, 100)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	silent := server(t, func(*net.TCPConn) { dialled <- struct{}{}; <-hang })
	for _, c := range []struct {
		name string
		h2c  bool
		send func(pw *io.PipeWriter) // nil for a request without a body
	}{
		{"http/1", false, nil},
		{"http/1, ends while it is dialled", false, func(pw *io.PipeWriter) { <-dialled; pw.Close() }},
		{"http/1, comes while it is dialled", false, func(pw *io.PipeWriter) { <-dialled; pw.Write(make([]byte, 5000)); pw.Close() }},
		{"http/2", true, nil},
		{"http/2, ends while it is dialled", true, func(pw *io.PipeWriter) { <-dialled; pw.Close() }},
		{"http/2, comes while it is dialled", true, func(pw *io.PipeWriter) { <-dialled; pw.Write(make([]byte, 5000)); pw.Close() }},
	} {
		w := New(t, NewCA(t), ID("web"), Options{})
		api := w.Registry.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, ConnectTimeout: time.Minute})
		w.Registry.SetEndpoints("api", []upstream.EndpointSpec{Meshed(silent, ID("api"))})
		d, out := w.Destination("api:80", config.HTTP, Share{api, 1})
		r := &ruled{t: t, client: w, dest: d, api: api}
		r.rule(&route.Traffic{Timeout: 200 * time.Millisecond, Retry: &retry.Policy{On: retry.ConnectFailure, Retries: 3}})
		var body io.Reader
		if c.send != nil {
			pr, pw := io.Pipe()
			go c.send(pw)
			body = pr
		}
		resp, err := client(t, c.h2c).Post("http://"+out.String()+"/", "", body)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != 504 || resp.Header.Get("weft-proxy-error") != forward.ReasonTimeout {
			t.Errorf("%s: %d %v", c.name, resp.StatusCode, resp.Header)
		}
		r.flagged("UT", 504)
		for len(dialled) > 0 {
			<-dialled
		}
	}
}

// cutOff sees that a response that has begun is cut off when its time is over.
func cutOff(t *testing.T, c *http.Client, r *ruled, limited func(time.Duration) *route.Traffic) {
	t.Helper()
	inTime(t, "the response begins", func(limit time.Duration) bool {
		r.rule(limited(limit))
		resp, err := c.Get(r.url + "/begun")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, err = io.ReadAll(resp.Body)
		switch {
		case resp.StatusCode == 504:
			return false
		case err == nil || resp.StatusCode != 200:
			t.Errorf("a response that took too long ends well: %s", resp.Status)
		}
		return true
	})
}
