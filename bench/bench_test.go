package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weftmesh/weft/bench/app"
	"github.com/weftmesh/weft/bench/topology"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want Spread
		text string
	}{
		{nil, Spread{}, "-"},
		{[]float64{3}, Spread{3, 3, 3, 1}, "3.00"},
		{[]float64{30, 10, 20}, Spread{20, 10, 30, 3}, "20.0 [10.0–30.0]"},
		{[]float64{4, 1, 3, 2}, Spread{2.5, 1, 4, 4}, "2.50 [1.00–4.00]"},
		{[]float64{1234, 1000}, Spread{1117, 1000, 1234, 2}, "1117 [1000–1234]"},
	} {
		if got := SpreadOf(c.in); got != c.want || got.String() != c.text {
			t.Errorf("spread of %v is %+v %q, want %+v %q", c.in, got, got, c.want, c.text)
		}
	}
}

// A ratio pairs what was measured in the same round: a machine that is twice as
// slow in one of them must not show.
func TestRatioPairsRounds(t *testing.T) {
	all := []Slice{
		{Cell: "c", Peer: Ours, Round: 0, CPU: 10}, {Cell: "c", Peer: "p", Round: 0, CPU: 100},
		{Cell: "c", Peer: Ours, Round: 1, CPU: 30}, {Cell: "c", Peer: "p", Round: 1, CPU: 200},
		{Cell: "c", Peer: Ours, Round: 2, CPU: 5}, // the peer has none in this round
		{Cell: "other", Peer: Ours, Round: 0, CPU: 1}, {Cell: "other", Peer: "p", Round: 0, CPU: 1},
	}
	got := Ratio(all, "c", Ours, "p", "cpu")
	if got.N != 2 || got.Min != 0.1 || got.Max != 0.15 || math.Abs(got.Median-0.125) > 1e-9 {
		t.Errorf("ratio is %+v", got)
	}
	if got := Ratio(all, "c", Ours, "absent", "cpu"); got.N != 0 {
		t.Errorf("ratio against nobody is %+v", got)
	}
}

func TestSelect(t *testing.T) {
	names := func(only string, quick bool) string {
		cells, err := Select(Matrix(), only, quick)
		if err != nil {
			return err.Error()
		}
		var n []string
		for _, c := range cells {
			n = append(n, c.Name)
		}
		return strings.Join(n, " ")
	}
	if got := names("http1/saturated/1$, tcp-bulk", false); got != "http1/saturated/1 tcp-bulk/4" {
		t.Errorf("selected %q", got)
	}
	if got := names("nothing-like-it", false); !strings.Contains(got, "http1/saturated/16") {
		t.Errorf("an error that does not tell the names: %q", got)
	}
	if q, all := len(strings.Fields(names("", true))), len(strings.Fields(names("", false))); q == 0 || q >= all {
		t.Errorf("quick has %d of %d", q, all)
	}
}

func TestBoundsNameWhatThereIs(t *testing.T) {
	known := map[string]bool{IdleCell: true}
	for _, c := range Matrix() {
		if known[c.Name] {
			t.Errorf("two loads are called %s", c.Name)
		}
		known[c.Name] = true
	}
	for _, b := range Bounds() {
		if !known[b.Cell] || metrics[b.Metric] == nil || b.Max == 0 && b.Min == 0 {
			t.Errorf("a bound of nothing: %+v", b)
		}
	}
	at := Bound{Max: 0.5}
	if !at.Met(Spread{Median: 0.5}) || at.Met(Spread{Median: 0.51}) {
		t.Error("an upper bound is not kept")
	}
	if least := (Bound{Min: 5}); !least.Met(Spread{Median: 5}) || least.Met(Spread{Median: 4.9}) {
		t.Error("a lower bound is not kept")
	}
}

func pair(peer string) *topology.Pair {
	return &topology.Pair{Peer: peer, At: map[app.Kind]string{app.HTTP: "x"}}
}

func cell() Cell { return http1(16, 0, true) }

// A disturbed slice is measured again, and of slices that are all disturbed the
// quietest is kept.
func TestDisturbedSlicesAreRepeated(t *testing.T) {
	others := map[string][]float64{"calm": {0.01}, "late": {0.9, 0.02}, "never": {0.9, 0.3, 0.5}}
	n := map[string]int{}
	m := func(_ context.Context, p *topology.Pair, c Cell) (Slice, error) {
		o := others[p.Peer][n[p.Peer]]
		n[p.Peer]++
		return Slice{Cell: c.Name, Peer: p.Peer, CPU: 1, RPS: 1, Other: o}, nil
	}
	plan := Plan{Cells: []Cell{cell()}, Pairs: []*topology.Pair{pair("calm"), pair("late"), pair("never")}, Rounds: 1, Attempts: 3, MaxOther: 0.12}
	o, err := plan.Run(t.Context(), m, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.Repeated != 3 || o.Disturbed != 1 || len(o.Slices) != 3 {
		t.Errorf("repeated %d, disturbed %d, kept %d", o.Repeated, o.Disturbed, len(o.Slices))
	}
	for _, s := range o.Slices {
		if want := map[string]float64{"calm": 0.01, "late": 0.02, "never": 0.3}[s.Peer]; s.Other != want || s.Disturbed != (s.Peer == "never") {
			t.Errorf("%s: kept %+v", s.Peer, s)
		}
	}
}

// One failure is bad luck; a peer that fails again is left out of the load and
// never counted as fast.
func TestFailingPeersAreLeftOut(t *testing.T) {
	n := 0
	m := func(_ context.Context, p *topology.Pair, c Cell) (Slice, error) {
		if n++; p.Peer == "broken" || p.Peer == "once" && n == 1 {
			return Slice{}, errors.New("status 503 from " + p.Peer)
		}
		return Slice{Cell: c.Name, Peer: p.Peer}, nil
	}
	for peer, want := range map[string]int{"broken": 0, "once": 2, Ours: 2} {
		n = 0
		o, err := Plan{Cells: []Cell{cell()}, Pairs: []*topology.Pair{pair(peer)}, Rounds: 2, Attempts: 3}.Run(t.Context(), m, io.Discard)
		if err != nil || len(o.Slices) != want || len(o.Skipped) != map[bool]int{true: 1}[want == 0] || o.Failed {
			t.Errorf("%s: %d slices, left out %q, failed %v, %v", peer, len(o.Slices), o.Skipped, o.Failed, err)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m := func(context.Context, *topology.Pair, Cell) (Slice, error) {
		cancel()
		return Slice{}, ctx.Err()
	}
	if _, err := (Plan{Cells: []Cell{cell()}, Pairs: []*topology.Pair{pair("p")}, Rounds: 9, Attempts: 3}).Run(ctx, m, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestReport(t *testing.T) {
	c := cell()
	r := Report{Ours: Ours, Peers: []string{Ours, Nginx}, Cells: []Cell{c}, Outcome: Outcome{Rounds: 2, Repeated: 4, Slices: []Slice{
		{Cell: IdleCell, Peer: Ours, Out: 9, In: 8},
		{Cell: c.Name, Peer: Ours, Round: 0, CPU: 20, RPS: 40000, P50: .4, P99: 1, Out: 12, In: 11}, {Cell: c.Name, Peer: Nginx, Round: 0, CPU: 50, RPS: 20000, P50: .8, P99: 4, Out: 9, In: 9},
		{Cell: c.Name, Peer: Ours, Round: 1, CPU: 22, RPS: 42000, P50: .4, P99: 9, Out: 12, In: 11}, {Cell: c.Name, Peer: Nginx, Round: 1, CPU: 40, RPS: 20000, P50: .8, P99: 4, Out: 9, In: 9},
	}}}
	var b bytes.Buffer
	r.Write(&b)
	for _, want := range []string{"| nginx | 45.0 [40.0–50.0] | 20000", "0.48 [0.40–0.55]", "| http1/saturated/16 cpu | nginx   | ≤ 0.50 | 0.48 [0.40–0.55] | met",
		"| http1/saturated/16 p99 | nginx   | ≤ 1.00 | 1.25 [0.25–2.25] | MISSED", "| idle rss               | -       | ≤ 12.0 | 9.00             | met", "4 thrown away"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	dir := t.TempDir()
	file, err := Results{Date: time.Now(), Rows: r.Rows()}.Save(dir)
	if err != nil || file != filepath.Join(dir, "results.json") {
		t.Fatal(file, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Rows []map[string]any }
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != 3 {
		t.Fatalf("%d rows: %s", len(got.Rows), raw)
	}
	row := got.Rows[1]
	for _, k := range []string{"peer", "protocol", "connections", "rate", "cpu_us_per_request", "rps", "p50_ms", "p99_ms", "rss_mib"} {
		if _, ok := row[k]; !ok {
			t.Errorf("a row has no %s: %v", k, row)
		}
	}
	if row["peer"] != Ours || row["cpu_us_per_request"] != 21.0 || row["rss_mib"] != 12.0 || row["connections"] != 16.0 {
		t.Errorf("row is %v", row)
	}
}

func TestOthersTime(t *testing.T) {
	const ms = time.Millisecond
	all := map[int]task{
		1: {0, "init", 10 * ms}, 2: {0, "kthreadd", 0}, 15: {2, "ksoftirqd/0", 500 * ms}, 16: {2, "kworker", 20 * ms},
		100: {1, "go", 30 * ms}, 101: {100, "bench", 900 * ms}, 102: {101, "weft-proxy", 800 * ms}, 103: {102, "child", 70 * ms}, 200: {1, "compiler", 40 * ms},
	}
	if got := othersTime(all, 101); got != 100*ms {
		t.Errorf("others used %s, want 100ms", got)
	}
	if got := cores(time.Second, time.Second+120*ms, time.Second); math.Abs(got-0.12) > 1e-9 {
		t.Errorf("cores: %v", got)
	}
	if got := cores(time.Second, 0, time.Second); got != 0 {
		t.Errorf("time that went back: %v", got)
	}
}

func TestParseTask(t *testing.T) {
	pid, got, err := parseTask([]byte("42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 11 22 33 44 20 0 1 0 5 6 7\n"))
	if want := (task{7, "a) b (c", 1100 * time.Millisecond}); err != nil || pid != 42 || got != want {
		t.Errorf("got %d %+v %v, want %+v", pid, got, err, want)
	}
	for _, bad := range []string{"", "42", "42 (a", "x (a) S 1", "42 (a) S 7 42 42 0 -1 4194304 1 2 3 4 x 22 33 44 20"} {
		if _, _, err := parseTask([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}
