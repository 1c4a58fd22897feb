package proxytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/listen"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// What comes of a body while its connection is made arrives once and in order,
// whether it can be held or not.
func TestBodiesThatComeWhileItIsDialled(t *testing.T) {
	application := app(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("x-trailer", r.Trailer.Get("x-last"))
		w.Write(b)
	})
	for _, c := range []struct {
		name   string
		size   int
		length bool // it is told in advance
		late   int  // what comes when the connection is there
		fails  int  // connections that come to nothing before
	}{
		{"in chunks", 5000, false, 0, 0},
		{"in chunks, with an end that is late", 5000, false, 100, 0},
		{"in many chunks", 200 << 10, false, 100 << 10, 0},
		{"of a length", 200 << 10, true, 100 << 10, 0},
		{"of a length, in a second try", 40 << 10, true, 1 << 10, 1},
		{"in chunks, in a third try", 5000, false, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := NewCA(t)
			s, w := New(t, ca, ID("api"), Options{}), New(t, ca, ID("web"), Options{})
			serves := s.Inbound.Explicit(application)
			dialled, gate := make(chan struct{}, 10), make(chan struct{}, 10)
			fails := c.fails
			in := s.Listen(func(ctx context.Context, a listen.Accepted) {
				dialled <- struct{}{}
				<-gate
				if fails--; fails >= 0 {
					a.Conn.Abort()
					return
				}
				serves(ctx, a)
			}).Addr()
			api := w.Registry.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, ConnectTimeout: time.Minute})
			w.Registry.SetEndpoints("api", []upstream.EndpointSpec{Meshed(in, ID("api"))})
			d, out := w.Destination("api:80", config.HTTP, Share{api, 1})
			r := &ruled{t: t, client: w, dest: d, api: api}
			r.rule(&route.Traffic{Timeout: time.Minute, Retry: &retry.Policy{On: retry.ConnectFailure, Retries: 3, Base: time.Millisecond}})
			body := make([]byte, c.size)
			rand.Read(body)
			pr, pw := io.Pipe()
			go func() {
				at := 0
				for range c.fails {
					<-dialled
					pw.Write(body[at : at+100])
					at += 100
					gate <- struct{}{}
				}
				<-dialled
				early := len(body) - c.late
				pw.Write(body[at:early])
				if c.late == 0 {
					pw.Close()
				}
				gate <- struct{}{}
				pw.Write(body[early:])
				pw.Close()
			}()
			q, _ := http.NewRequest("POST", "http://"+out.String()+"/", pr)
			if q.ContentLength = -1; c.length {
				q.ContentLength = int64(c.size)
			} else {
				q.Trailer = http.Header{"X-Last": {"end"}}
			}
			resp, err := browser(t).Do(q)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != 200 || !bytes.Equal(got, body) {
				t.Errorf("%d, %d of %d bytes come back, the same %v, %v", resp.StatusCode, len(got), len(body), bytes.Equal(got, body), err)
			}
			if !c.length && resp.Header.Get("x-trailer") != "end" {
				t.Error("the trailers are lost")
			}
		})
	}
}
