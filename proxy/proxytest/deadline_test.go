package proxytest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/proxy/config"
	"github.com/weftmesh/weft/proxy/forward"
	"github.com/weftmesh/weft/proxy/route"
)

// The time for a request's head ends with the head: what the proxy itself waits
// for afterwards does not count, neither for the body nor for the next request.
func TestHeadsTimeEndsWithTheHead(t *testing.T) {
	large := strings.Repeat("b", 300<<10)
	for name, pieces := range map[string][2]string{
		"head":  {"POST / HTTP/1.1\r\nHost: api\r\nContent-", "Length: 307200\r\n\r\n" + large},
		"short": {"POST / HTTP/1.1\r\nHost: api\r\nContent-Length: 2\r\n\r\na", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTime(t, "the second piece", func(limit time.Duration) bool { return headsInPieces(t, limit, pieces) })
		})
	}
}

// headsInPieces sends two requests on one connection, each in two pieces, to a
// proxy that has a limit for heads and waits for longer behind each of them. It
// says whether both were answered.
func headsInPieces(t *testing.T, limit time.Duration, pieces [2]string) bool {
	t.Helper()
	client := New(t, NewCA(t), ID("web"), Options{Limits: forward.Limits{Head: limit}})
	cluster := client.Cluster("api", Plain(app(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body) // an answer before its end would end the connection
		w.Write(b)
	})))
	dest, out := client.Destination("api:80", config.HTTP, Share{cluster, 1})
	u, err := route.NewRule(route.RuleSpec{Name: "rule", Origin: "Test default/rule", Match: route.MatchSpec{Path: route.Prefix, PathValue: "/"},
		Traffic:  &route.Traffic{Delay: &route.Delay{For: 2 * limit, Share: route.Million}},
		Backends: []route.Backend{{Name: "api", Weight: 1, Cluster: cluster}}})
	if err != nil {
		t.Fatal(err)
	}
	dest.Rules(u)
	c, err := net.Dial("tcp", out.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20*time.Second + 8*limit))
	br := bufio.NewReader(c)
	for round := range 2 {
		for i, p := range pieces {
			if i > 0 {
				time.Sleep(limit / 6) // so that it is read in two pieces
			}
			go io.WriteString(c, p)
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode == 408 {
			t.Logf("limit %s, request %d: %v, %v", limit, round, resp, err)
			return false
		}
		got, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || resp.Close || len(got) != 300<<10 && string(got) != "ab" {
			t.Fatalf("limit %s, request %d: %v, %d, %d bytes, close %v", limit, round, err, resp.StatusCode, len(got), resp.Close)
		}
	}
	return true
}
