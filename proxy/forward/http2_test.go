package forward_test

import (
	"bytes"
	"fmt"
	"io"
	nethttp "net/http"
	"testing"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h2"
)

func TestPlainHTTP2Travels(t *testing.T) {
	l, addr := listenTCP(t)
	srv := &nethttp.Server{Protocols: new(nethttp.Protocols), Handler: nethttp.HandlerFunc(func(w nethttp.ResponseWriter, r *nethttp.Request) {
		switch r.URL.Path {
		case "/hints":
			w.Header().Set("Link", "a")
			w.WriteHeader(103)
		case "/none":
			w.WriteHeader(204)
			return
		case "/early":
			_, _ = io.WriteString(w, "enough")
			return
		}
		w.Header().Set("X-Got", r.Method+" "+r.Host+" "+r.URL.String()+" "+r.Proto)
		_, _ = io.Copy(w, r.Body)
	})}
	srv.Protocols.SetUnencryptedHTTP2(true)
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	out, _, _ := meshed(t, addr)
	cl := plainClient(t)
	do := func(method, path string, body io.Reader) (*nethttp.Response, []byte) {
		t.Helper()
		req, _ := nethttp.NewRequest(method, "http://"+out.String()+path, body)
		resp, err := cl.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, got
	}
	body := bytes.Repeat([]byte("abcdefgh"), 1<<20)
	if resp, got := do("POST", "/a?b=c", bytes.NewReader(body)); resp.StatusCode != 200 || !bytes.Equal(got, body) || resp.Header.Get("X-Got") != "POST "+out.String()+" /a?b=c HTTP/2.0" {
		t.Errorf("%d, %d bytes, %v", resp.StatusCode, len(got), resp.Header)
	}
	for path, want := range map[string]int{"/hints": 200, "/none": 204, "/": 200} {
		if resp, got := do("GET", path, nil); resp.StatusCode != want || len(got) != 0 {
			t.Errorf("%s: %d %q", path, resp.StatusCode, got)
		}
	}
	if resp, _ := do("HEAD", "/", nil); resp.StatusCode != 200 {
		t.Errorf("HEAD: %d", resp.StatusCode)
	}
	if resp, got := do("POST", "/early", bytes.NewReader(body)); resp.StatusCode != 200 || string(got) != "enough" {
		t.Errorf("early: %d %q", resp.StatusCode, got)
	}
}

// Extended CONNECT (RFC 8441) passes through to applications that offer it.
func TestExtendedConnect(t *testing.T) {
	a := rawApp(t, func(s *h2.Stream) {
		if string(s.Request().Protocol) != "websocket" {
			return
		}
		_ = s.WriteHead(&http.Response{Status: 200}, false)
		_, _ = io.Copy(s, s)
		_ = s.End()
	})
	out, _, _ := meshed(t, a)
	cl := h2To(t, out)
	s, err := cl.Open(&http.Request{Method: []byte("CONNECT"), Protocol: []byte("websocket"), Scheme: []byte("http"), Authority: []byte("x"), Target: []byte("/chat")}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var r http.Response
	if err := s.ReadHead(&r); err != nil || r.Status != 200 {
		t.Fatal(r, err)
	}
	for i := range 3 {
		want := fmt.Sprintf("frame %d", i)
		if _, err := s.Write([]byte(want)); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(s, got); err != nil || string(got) != want {
			t.Fatalf("got %q %v", got, err)
		}
	}
	_ = s.End()
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}
