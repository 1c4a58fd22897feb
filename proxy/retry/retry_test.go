package retry

import (
	"math/rand/v2"
	"testing"
	"testing/quick"
	"time"

	"github.com/weftmesh/weft/internal/seedtest"
	"github.com/weftmesh/weft/proxy/http"
)

func TestNames(t *testing.T) {
	all := "5xx,gateway-error,reset,reset-before-request,connect-failure,envoy-ratelimited,retriable-4xx,refused-stream,retriable-status-codes,retriable-headers,http3-post-connect-failure,cancelled,deadline-exceeded,internal,resource-exhausted,unavailable"
	on, unknown := ParseOn(all)
	if on.String() != all || unknown != nil || on != 1<<16-1 {
		t.Errorf("%s %v", on, unknown)
	}
	if on, unknown = ParseOn(" 5xx , sometimes,,unavailable"); on != ServerError|Unavailable || len(unknown) != 1 || unknown[0] != "sometimes" {
		t.Errorf("%s %v", on, unknown)
	}
}

type present string

func (p present) Holds(f []http.Field) bool { _, ok := http.Get(f, string(p)); return ok }

// Every condition, and nothing but it, by what Envoy documents.
func TestConditions(t *testing.T) {
	limited := []http.Field{{Name: []byte("X-Envoy-Ratelimited"), Value: []byte("true")}}
	mine := []http.Field{{Name: []byte("x-mine")}}
	type event struct {
		status, grpc int
		fields       []http.Field
		without      int // -1: a response
	}
	resp := func(status int) event { return event{status, NoGRPC, nil, -1} }
	grpc := func(code int) event { return event{200, code, nil, -1} }
	none := func(w Without) event { return event{without: int(w)} }
	events := []event{resp(200), resp(404), resp(409), resp(429), resp(500), resp(502), resp(503), resp(504), resp(418),
		grpc(0), grpc(1), grpc(2), grpc(4), grpc(8), grpc(13), grpc(14), {429, NoGRPC, limited, -1}, {200, NoGRPC, mine, -1},
		none(NotConnected), none(Refused), none(Broken), none(Late)}
	for on, want := range map[On][]int{
		ServerError:        {4, 5, 6, 7, 18, 19, 20, 21},
		GatewayError:       {5, 6, 7, 18, 19, 20, 21},
		Reset:              {18, 19, 20, 21},
		ResetBeforeRequest: {18, 19},
		ConnectFailure:     {18},
		RefusedStream:      {19},
		RateLimited:        {16},
		Retriable4xx:       {2},
		StatusCodes:        {8},
		Headers:            {17},
		HTTP3PostConnect:   {},
		Cancelled:          {10},
		DeadlineExceeded:   {12},
		ResourceExhausted:  {13},
		Internal:           {14},
		Unavailable:        {15},
		0:                  {},
	} {
		p := &Policy{On: on, Statuses: []uint32{418}, Headers: []Condition{present("x-mine")}}
		in := map[int]bool{}
		for _, i := range want {
			in[i] = true
		}
		for i, e := range events {
			var got bool
			if e.without < 0 {
				got = p.Response(e.status, e.grpc, e.fields)
			} else {
				got = p.Failure(Without(e.without))
			}
			if got != in[i] {
				t.Errorf("%q on %+v: %v", on, e, got)
			}
		}
	}
}

func TestPauses(t *testing.T) {
	law := func(base, longest uint16, retry uint8, random uint64) bool {
		p := Policy{Base: time.Duration(base) * time.Millisecond, Max: time.Duration(longest) * time.Millisecond}
		b, m := p.Base, p.Max
		if b == 0 {
			b = DefaultBase
		}
		if m == 0 {
			m = 10 * b
		}
		bound := b
		for i := 1; i < max(1, int(retry)) && bound < m; i++ {
			bound *= 2
		}
		d := p.Pause(max(1, int(retry)), random)
		return d >= 0 && d < min(bound, m)+1 && d == time.Duration(random%uint64(max(1, min(bound, m))))
	}
	if err := quick.Check(law, &quick.Config{MaxCount: 5000, Rand: seedtest.Rand(t)}); err != nil {
		t.Error(err)
	}
}

// The naive twin of the budget keeps every event.
func TestBudgetAgainstTwin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for range 200 {
		ratio, least, ttl := float64(r.IntN(21))/20, uint32(r.IntN(4)), time.Duration(1+r.IntN(10))*time.Second
		now := time.Unix(100, 0)
		start := now
		b := NewBudget(ratio, least, ttl, now)
		type event struct {
			window int64
			amount int64
		}
		var events []event
		for range 500 {
			now = now.Add(time.Duration(r.IntN(int(ttl / 20))))
			window := int64(now.Sub(start) / (ttl / windows))
			sum := int64(float64(least)*ttl.Seconds()*1000 + 0.5)
			for _, e := range events {
				if e.window > window-windows {
					sum += e.amount
				}
			}
			if r.IntN(2) == 0 {
				b.Request(now)
				events = append(events, event{window, int64(ratio*1000 + 0.5)})
				continue
			}
			want := sum >= 1000
			if got := b.Retry(now); got != want {
				t.Fatalf("ratio %v, at least %d, ttl %s: %v with %d left", ratio, least, ttl, got, sum)
			}
			if want {
				events = append(events, event{window, -1000})
			}
		}
	}
}

func TestConcurrency(t *testing.T) {
	c := Concurrency{Percent: 20, Min: 3}
	for _, x := range []struct {
		requests, retries int64
		want              bool
	}{{0, 2, true}, {0, 3, false}, {100, 19, true}, {100, 20, false}} {
		if c.Allows(x.requests, x.retries) != x.want {
			t.Errorf("%+v", x)
		}
	}
}

func TestBudgetAllocatesNothing(t *testing.T) {
	b := NewBudget(0.2, 10, 10*time.Second, time.Now())
	if n := testing.AllocsPerRun(100, func() { b.Request(time.Now()); b.Retry(time.Now()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBudget(b *testing.B) {
	g := NewBudget(0.2, 10, 10*time.Second, time.Now())
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		g.Request(now)
	}
}
