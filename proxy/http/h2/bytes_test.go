package h2

import (
	"errors"
	"io"
	"testing"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/http"
)

func bytesRequest() *http.Request {
	return &http.Request{Method: []byte("CONNECT"), Authority: []byte("bytes"), Major: http.Bytes}
}

func TestBytesInPlainBlocks(t *testing.T) {
	var back http.Request
	h := decodeHead(t, plainCodec{}, plainCodec{}.appendRequest(nil, bytesRequest()))
	if why := h.request(&back); why != "" || back.Major != http.Bytes || string(back.Authority) != "bytes" {
		t.Errorf("%q, %+v", why, back)
	}
	for name, r := range map[string]*http.Request{
		"another method":   {Method: []byte("GET"), Scheme: []byte("http"), Authority: []byte("a"), Target: []byte("/"), Major: http.Bytes},
		"extended CONNECT": {Method: []byte("CONNECT"), Scheme: []byte("http"), Authority: []byte("a"), Target: []byte("/"), Protocol: []byte("x"), Major: http.Bytes},
	} {
		h := decodeHead(t, plainCodec{}, plainCodec{}.appendRequest(nil, r))
		if why := h.request(&back); why == "" {
			t.Errorf("%s passes for bytes", name)
		}
	}
	var r headReader
	r.reset(&headMem{}, 1<<16)
	if err := (plainCodec{}).decode(&r, []byte{plainResponse, plainBytes, '2', '0', '0', 0}); err == nil {
		t.Error("a response of bytes is taken")
	}
}

// A server carries bytes only where it said so, whatever the client believes.
func TestBytesWhereTheyAreTaken(t *testing.T) {
	for _, takes := range []bool{true, false} {
		a, b := pair(t)
		serve(t, b, Options{Plain: true, Bytes: takes}, func(s *Stream) {
			if s.Request().Major == http.Bytes {
				s.WriteHead(&http.Response{Status: 200}, false)
				p, _ := io.ReadAll(s)
				s.Write(p)
			} else {
				s.WriteHead(&http.Response{Status: 204}, true)
			}
			s.End()
		})
		cl := NewClient(conn.New(a), Options{Plain: true})
		t.Cleanup(cl.Close)
		s, err := cl.Open(bytesRequest(), false)
		if !takes {
			if !errors.Is(err, ErrNoBytes) {
				t.Fatalf("got %v, want ErrNoBytes", err)
			}
			cl.c.mu.Lock()
			cl.c.peer.bytes = true
			cl.c.mu.Unlock()
			if s, err = cl.Open(bytesRequest(), false); err != nil {
				t.Fatal(err)
			}
			if err := s.ReadHead(&http.Response{}); CodeOf(err) != CodeProtocol {
				t.Errorf("answered by %v", err)
			}
			s.Release()
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var r http.Response
		if err := s.ReadHead(&r); err != nil || r.Status != 200 {
			t.Fatal(r.Status, err)
		}
		s.WriteEnd([]byte("hello"))
		if p, err := io.ReadAll(s); err != nil || string(p) != "hello" {
			t.Errorf("%q, %v", p, err)
		}
		s.Release()
	}
}
