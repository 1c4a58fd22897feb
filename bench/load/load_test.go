package load

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

const wrkSays = `Running 3s test @ http://127.0.0.1:9001/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   823.00us    1.20ms  20.10ms   90.00%
    Req/Sec    20.85k     1.10k   23.00k    70.00%
  Latency Distribution
     50%  730.00us
     75%    1.10ms
     90%    2.00ms
     99%   12.70ms
  62550 requests in 3.00s, 70.00MB read
`

func TestWrkIsRead(t *testing.T) {
	r, err := parseWrk([]byte(wrkSays + "Requests/sec:  20850.12\n"))
	if err != nil || r.Requests != 62550 || r.P50 != 0.73 || r.P99 != 12.7 || r.Check() != nil {
		t.Errorf("got %+v %v", r, err)
	}
	// Errors must never look fast.
	for _, bad := range []string{"  Non-2xx or 3xx responses: 62550\n", "  Socket errors: connect 0, read 3, write 0, timeout 1\n"} {
		r, err := parseWrk([]byte(wrkSays + bad))
		if err != nil || !errors.Is(r.Check(), ErrAnswers) {
			t.Errorf("%q: %+v %v", bad, r, err)
		}
	}
	if _, err := parseWrk([]byte("unable to connect to 127.0.0.1:1 Connection refused\n")); !errors.Is(err, ErrOutput) {
		t.Errorf("got %v", err)
	}
	if !errors.Is(Result{}.Check(), ErrNothing) {
		t.Error("nothing is a result")
	}
}

func TestH2loadIsRead(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte("1700000000000000\t200\t100\n1700000000000001\t200\t300\n1700000000000002\t200\t200\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := "finished in 2.00s, 1.50 req/s, 5KB/s\nrequests: 3 total, 3 started, 3 done, 3 succeeded, 0 failed, 0 errored, 0 timeout\nstatus codes: 3 2xx, 0 3xx, 0 4xx, 0 5xx\n"
	r, err := parseH2load([]byte(out), log)
	if err != nil || r.Requests != 3 || r.P50 != 0.2 || r.Check() != nil {
		t.Errorf("got %+v %v", r, err)
	}
	bad := "requests: 3 total, 3 started, 3 done, 1 succeeded, 2 failed, 0 errored, 0 timeout\nstatus codes: 1 2xx, 0 3xx, 0 4xx, 2 5xx\n"
	if r, err := parseH2load([]byte(bad), log); err != nil || !errors.Is(r.Check(), ErrAnswers) {
		t.Errorf("got %+v %v", r, err)
	}
}

func TestFortioIsRead(t *testing.T) {
	f := filepath.Join(t.TempDir(), "out.json")
	for _, c := range []struct {
		json string
		bad  bool
	}{
		{`{"RetCodes":{"200":100},"DurationHistogram":{"Count":100,"Percentiles":[{"Percentile":50,"Value":0.001},{"Percentile":99,"Value":0.005}]}}`, false},
		{`{"RetCodes":{"SERVING":100},"DurationHistogram":{"Count":100,"Percentiles":[{"Percentile":50,"Value":0.001},{"Percentile":99,"Value":0.005}]}}`, false},
		{`{"RetCodes":{"200":99,"503":1},"DurationHistogram":{"Count":100,"Percentiles":[]}}`, true},
	} {
		if err := os.WriteFile(f, []byte(c.json), 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := parseFortio(f)
		if err != nil || (r.Check() != nil) != c.bad || !c.bad && (r.P50 != 1 || r.P99 != 5) {
			t.Errorf("%s: %+v %v", c.json, r, err)
		}
	}
}

func TestQuantile(t *testing.T) {
	v := make([]int64, 101)
	for i := range v {
		v[i] = int64(i)
	}
	if Quantile(v, .5) != 50 || Quantile(v, .99) != 99 || Quantile(nil, .5) != 0 {
		t.Error(Quantile(v, .5), Quantile(v, .99), Quantile(nil, .5))
	}
}

func TestBodyLength(t *testing.T) {
	if n, err := bodyLength([]byte("HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 1024\r\nX: y")); n != 1024 || err != nil {
		t.Error(n, err)
	}
	for _, bad := range []string{"HTTP/1.1 503 x\r\ncontent-length: 3", "HTTP/1.1 200 OK\r\nServer: a", "HTTP/1.1 200 OK\r\ncontent-length: x"} {
		if _, err := bodyLength([]byte(bad)); !errors.Is(err, ErrAnswers) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestCommandsAsk(t *testing.T) {
	tools := Tools{Wrk: "wrk", H2load: "h2load", Fortio: "fortio", Self: "self"}
	s := Spec{Address: "127.0.0.1:1", Connections: 7, Streams: 3, Rate: 50, Warm: time.Second, Duration: time.Second}
	for g, want := range map[Generator]string{Wrk: "-c7", H2load: "-m3", Fortio: "50", Health: "-health", Open: Role} {
		s.Generator = g
		if c := tools.Command(s, t.TempDir()); !slices.Contains(c.Args, want) {
			t.Errorf("%s: no %s in %q", g, want, c.Args)
		}
		if !tools.Has(g) || (Tools{Self: "self"}).Has(g) != (g == Open) {
			t.Errorf("%s: wrong about what there is", g)
		}
	}
}
