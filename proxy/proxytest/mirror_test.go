package proxytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

func TestMirror(t *testing.T) {
	r := newRuled(t, func(w http.ResponseWriter, q *http.Request) { b, _ := io.ReadAll(q.Body); w.Write(b) })
	var mu sync.Mutex
	seen := map[string]int{}
	hang := make(chan struct{})
	release := sync.OnceFunc(func() { close(hang) })
	t.Cleanup(release)
	copyApp := h2app(t, func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		mu.Lock()
		seen[fmt.Sprint(q.ProtoMajor, " ", q.Method, " ", q.Host, " ", q.URL, " ", len(b))]++
		mu.Unlock()
		if q.URL.Path == "/hang" {
			<-hang
		}
		w.WriteHeader(500)
	})
	other := r.client.Cluster("copy", Meshed(r.server.Before(copyApp), ID("api")))
	r.rule(&route.Traffic{Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: route.Million, Suffix: true}, {Name: "none", Share: route.Million}}})
	send := func(h2c bool, path string, size int) {
		t.Helper()
		q, _ := http.NewRequest("PUT", r.url+path, bytes.NewReader(make([]byte, size)))
		q.Host = "api.test:80"
		resp, err := client(t, h2c).Do(q)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || len(b) != size {
			t.Fatalf("the real request: %d, %d of %d bytes, %v", resp.StatusCode, len(b), size, err)
		}
	}
	count := func(what string) int { mu.Lock(); defer mu.Unlock(); return seen[what] }
	send(false, "/a?b=c", 0)
	send(false, "/held", 1000)
	send(false, "/streamed", 300_000)
	send(true, "/two", 1000)
	send(true, "/two", 200_000)
	for _, what := range []string{"1 PUT api.test-shadow:80 /a?b=c 0", "1 PUT api.test-shadow:80 /held 1000", "1 PUT api.test-shadow:80 /streamed 300000",
		"2 PUT api.test-shadow:80 /two 1000", "2 PUT api.test-shadow:80 /two 200000"} {
		wait(t, what, func() bool { return count(what) == 1 })
	}
	// Copies that hang do not slow the real requests, and are bounded.
	begun := time.Now()
	for range 200 {
		send(false, "/hang", 10)
	}
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("200 requests took %s", took)
	}
	sent, skipped, _ := r.client.Activity.Mirrored()
	send(false, "/big", 1<<21)
	if _, more, _ := r.client.Activity.Mirrored(); more <= skipped || sent == 0 || count("1 PUT api.test-shadow:80 /big 2097152") != 0 {
		t.Errorf("%d skipped before a long body, %d after", skipped, more)
	}
	release()
	wait(t, "the drain", func() bool { return r.client.Activity.Carried() == 0 })
}

func TestMirrorOfAShare(t *testing.T) {
	r := newRuled(t, ok)
	at, n := counted(t, ok)
	other := r.client.Cluster("copy", Plain(at))
	r.rule(&route.Traffic{Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: 250_000}}})
	const all = 1000
	for range all {
		get(t, r.url)
	}
	sent, skipped, _ := r.client.Activity.Mirrored()
	if total := sent + skipped; total < 250-90 || total > 250+90 {
		t.Errorf("%d of %d mirrored", total, all)
	}
	wait(t, "the copies", func() bool { return uint64(n.Load()) == sent })
}

// Copies use connections as requests do, and no more than their cluster may
// have.
func TestMirrorsShareConnections(t *testing.T) {
	const all = 40
	for _, c := range []struct {
		name   string
		meshed bool
		limits upstream.Limits
		// at once are the copies at the application, connections those between.
		atOnce, connections int64
		arrive              int64
	}{
		{"meshed", true, upstream.Limits{}, all, 1, all},
		{"plain", false, upstream.Limits{MaxConnections: upstream.AtMost(3)}, 3, 3, all},
		{"few requests", true, upstream.Limits{MaxRequests: upstream.AtMost(5)}, 5, 1, 5},
		{"none may wait", false, upstream.Limits{MaxConnections: upstream.AtMost(2), MaxPending: upstream.AtMost(0)}, 0, 0, 0},
	} {
		for _, h2c := range []bool{false, true} {
			if h2c && !c.meshed {
				continue // HTTP/2 without a mesh is one connection anyway
			}
			r := newRuled(t, func(_ http.ResponseWriter, q *http.Request) { io.Copy(io.Discard, q.Body) })
			var here, arrived atomic.Int64
			hang := make(chan struct{})
			at := h2app(t, func(w http.ResponseWriter, q *http.Request) {
				io.Copy(io.Discard, q.Body)
				here.Add(1)
				<-hang
				here.Add(-1)
				arrived.Add(1)
			})
			to := Plain(at)
			if c.meshed {
				to = Meshed(r.server.Before(at), ID("api"))
			}
			other := r.client.Registry.Apply(upstream.Spec{Name: "copy", Kind: upstream.Pushed, ConnectTimeout: patient, Limits: c.limits})
			r.client.Registry.SetEndpoints("copy", []upstream.EndpointSpec{to})
			r.rule(&route.Traffic{Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: route.Million}}})
			cl := client(t, h2c)
			for i := range all {
				resp, err := cl.Post(r.url, "", io.LimitReader(zeros{}, int64(i%3)*50_000))
				if err != nil || resp.StatusCode != 200 {
					t.Fatal(resp, err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			sent, _, _ := r.client.Activity.Mirrored()
			// What is too much must have been refused before places become free.
			wait(t, c.name+": the copies at the application", func() bool {
				_, _, failed := r.client.Activity.Mirrored()
				return here.Load() == c.atOnce && int64(failed) == all-c.arrive
			})
			if n := other.Counters().Connections; n != c.connections || sent != all {
				t.Errorf("%s (http2 %v): %d connections for %d copies, want %d", c.name, h2c, n, sent, c.connections)
			}
			close(hang)
			wait(t, c.name+": all copies", func() bool {
				_, _, failed := r.client.Activity.Mirrored()
				return arrived.Load() == c.arrive && int64(failed) == all-c.arrive && other.Counters().Requests == 0
			})
		}
	}
}

// zeros is content without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
