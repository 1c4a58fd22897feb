package proxytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
)

// Whatever clients and applications do to each other, no request is answered with
// what belongs to another one, one that nobody disturbs is answered, and nothing
// of all that is left behind.
func TestNothingIsMixedUpOrLeftBehind(t *testing.T) {
	log := newLedger(t, istioText)
	answer := func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/early" { // before the body
			w.Header().Set("Tag", q.Header.Get("Tag"))
			io.WriteString(w, q.Header.Get("Tag"))
			return
		}
		// The fields are left alone behind an interim head, which may still be read
		// when the stream is reset.
		if q.URL.Path == "/interim" {
			w.Header().Set("Tag", q.Header.Get("Tag"))
			w.WriteHeader(103)
		}
		h := sha256.New()
		n, err := io.Copy(h, q.Body)
		if err != nil {
			return
		}
		switch q.URL.Path {
		case "/cut":
			panic(http.ErrAbortHandler)
		case "/half":
			w.Header().Set("Content-Length", "100000")
			w.Write(make([]byte, 5000))
			panic(http.ErrAbortHandler)
		case "/close":
			if q.ProtoMajor == 1 { // else it would refuse whole requests of others
				w.Header().Set("Connection", "close")
			}
		case "/slow":
			select {
			case <-q.Context().Done():
			case <-time.After(30 * time.Millisecond):
			}
		}
		size, _ := strconv.Atoi(q.Header.Get("Size"))
		if q.URL.Path != "/interim" {
			w.Header().Set("Tag", q.Header.Get("Tag"))
		}
		body := fmt.Sprintf("%s %d %x ", q.Header.Get("Tag"), n, h.Sum(nil))
		if q.URL.Path == "/trailers" {
			w.Header().Set(http.TrailerPrefix+"Tag", q.Header.Get("Tag"))
		}
		io.WriteString(w, body)
		w.Write(bytes.Repeat([]byte{body[0]}, size))
	}
	r := newRuled(t, answer)
	other := r.client.Cluster("copy", Meshed(r.server.Before(h2app(t, answer)), ID("api")))
	rules := []*route.Traffic{
		nil,
		{Retry: &retry.Policy{On: retry.Reset, Retries: 2, Base: time.Millisecond}},
		{Timeout: 20 * time.Second, Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: route.Million}}},
		{Timeout: 15 * time.Millisecond},
		{Retry: &retry.Policy{On: retry.Reset, Retries: 2, Base: time.Millisecond}, Mirrors: []route.Mirror{{Name: "copy", Cluster: other, Share: route.Million}}},
	}
	var disturbed, fine atomic.Int64
	one := func(c *http.Client, calm, harsh bool, id string) {
		paths := []string{"/", "/", "/interim", "/trailers", "/close", "/slow", "/early", "/cut", "/half"}
		if calm {
			paths = paths[:6]
		}
		path := paths[rand.N(len(paths))]
		up, down := 0, 0
		if rand.N(3) > 0 {
			up = rand.N(1 << rand.N(20))
		}
		if rand.N(3) > 0 {
			down = rand.N(1 << rand.N(20))
		}
		body := make([]byte, up)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var from io.Reader = bytes.NewReader(body)
		if rand.N(2) == 0 {
			from = io.MultiReader(from) // of no known length
		}
		q, err := http.NewRequestWithContext(ctx, []string{"PUT", "POST"}[rand.N(2)], r.url+path, from)
		if err != nil {
			t.Error(err)
			return
		}
		q.Header.Set("Tag", id)
		q.Header.Set("Size", strconv.Itoa(down))
		leaves := !calm && rand.N(4) == 0
		if leaves {
			time.AfterFunc(time.Duration(rand.N(20_000))*time.Microsecond, cancel)
		}
		must := calm && !harsh
		resp, err := c.Do(q)
		if err != nil {
			if disturbed.Add(1); must {
				t.Errorf("%s %s: %v", path, id, err)
			}
			return
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		tag := resp.Header.Get("Tag")
		switch {
		case tag != "" && tag != id:
			t.Errorf("%s: the head of %s came for %s", path, tag, id)
		case tag == "" && must:
			t.Errorf("%s %s: %d %q", path, id, resp.StatusCode, got)
		case tag == "" || path == "/half":
			disturbed.Add(1)
		case err != nil:
			if disturbed.Add(1); must {
				t.Errorf("%s %s: the body: %v", path, id, err)
			}
		case path == "/early":
			if string(got) != id {
				t.Errorf("%s: %q came for %s", path, got, id)
			}
		default:
			want := fmt.Sprintf("%s %d %x ", id, up, sha256.Sum256(body))
			if string(got) != want+string(bytes.Repeat([]byte{want[0]}, down)) {
				t.Errorf("%s %s: %d bytes, %.100q, want %q", path, id, len(got), got, want)
			} else if fine.Add(1); path == "/trailers" && resp.Trailer.Get("Tag") != id {
				t.Errorf("the trailers of %s came for %s", resp.Trailer.Get("Tag"), id)
			}
		}
	}
	for i, rule := range rules {
		broken := i == len(rules)-1
		faults := &conn.Faults{Decide: func(op conn.Op, size int) conn.Fault {
			switch n := rand.N(1000); {
			case n < 100:
				return conn.Fault{Most: 1 + rand.N(min(size, 3000))}
			case n < 200:
				return conn.Fault{Errno: syscall.EAGAIN}
			case n < 205 && broken && op == conn.Reading: // a writer alone never meets one
				return conn.Fault{Errno: syscall.ECONNRESET}
			}
			return conn.Fault{}
		}, Late: runtime.Gosched}
		calmed := faults.Inject()
		r.rule(rule)
		if i%2 == 1 {
			r.dest.Log(log.Log)
		}
		stop := time.Now().Add(time.Second)
		var wg sync.WaitGroup
		for k := range 12 {
			c := client(t, k%2 == 1)
			wg.Go(func() {
				for n := 0; time.Now().Before(stop) && !t.Failed(); n++ {
					one(c, k%3 == 0, i > 2, fmt.Sprintf("%c%d-%d-%d", 'a'+k, i, k, n))
				}
			})
		}
		wg.Wait()
		calmed()
	}
	if fine.Load() == 0 {
		t.Errorf("%d answered, %d disturbed", fine.Load(), disturbed.Load())
	}
	for name, w := range map[string]*Workload{"client": r.client, "server": r.server} {
		waittest.Until(t, name+" rests", func() bool { return w.Activity.Carried() == 0 && w.Activity.Held() == 0 })
		if n := w.Activity.Panics(); n > 0 {
			t.Errorf("%s: %d panics", name, n)
		}
	}
}
