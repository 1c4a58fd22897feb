package upstream_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/weftmesh/weft/internal/porttest"
	"github.com/weftmesh/weft/internal/waittest"
	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/upstream"
)

func get(t *testing.T, e *upstream.Endpoint) *upstream.HTTP1 {
	t.Helper()
	h, err := e.HTTP1(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestMaxRequests(t *testing.T) {
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxRequests: upstream.AtMost(2)}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80"), spec("10.0.0.2:80")})
	e := c.Endpoints()
	if e[0].Enter() != nil || e[1].Enter() != nil {
		t.Fatal("refused below the limit")
	}
	if err := e[0].Enter(); !errors.Is(err, upstream.ErrOverflow) {
		t.Fatalf("above the limit: %v", err)
	}
	e[1].Leave()
	if err := e[0].Enter(); err != nil {
		t.Fatal(err)
	}
	if n := c.Counters(); n.Requests != 2 || n.RequestOverflow != 1 {
		t.Errorf("%+v", n)
	}
	// A change of the limit holds at once, and what is under way counts.
	r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxRequests: upstream.AtMost(3)}})
	if e[0].Enter() != nil || e[0].Enter() == nil {
		t.Error("the new limit does not hold")
	}
}

// Who waits when a limit is raised, or taken away, need not wait for a connection
// to be given back.
func TestRaisedLimitWakesWhoWaits(t *testing.T) {
	for name, raised := range map[string]upstream.Limits{"raised": {MaxConnections: upstream.AtMost(3)}, "no limit": {}} {
		t.Run(name, func(t *testing.T) {
			l := listen(t)
			r := registry(t, upstream.Options{})
			c := r.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, Limits: upstream.Limits{MaxConnections: upstream.AtMost(1)}})
			r.SetEndpoints("api", []upstream.EndpointSpec{spec(l.addr())})
			e := c.Endpoints()[0]
			held := get(t, e)
			out := make(chan error)
			const waiting = 3
			for range waiting {
				go func() {
					h, err := e.HTTP1(context.Background(), false)
					if err == nil {
						h.Close()
					}
					out <- err
				}()
			}
			waittest.Until(t, "the requests wait", func() bool { return c.Counters().Pending == waiting })
			r.Apply(upstream.Spec{Name: "api", Kind: upstream.Pushed, Limits: raised})
			for range waiting {
				select {
				case err := <-out:
					if err != nil {
						t.Error(err)
					}
				case <-time.After(10 * time.Second):
					t.Fatalf("nobody woke it: %+v", c.Counters())
				}
			}
			held.Close()
			if n := c.Counters(); n.Connections != 0 || n.Pending != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
}

func TestRetryLimits(t *testing.T) {
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxRetries: upstream.AtMost(1)}})
	if !c.BeginRetry() || c.BeginRetry() {
		t.Error("max_retries 1")
	}
	c.EndRetry()
	r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxRetries: upstream.AtMost(0), RetryBudget: true, RetryPercent: 20, MinRetries: 1}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80")})
	for range 10 {
		if err := c.Endpoints()[0].Enter(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []bool{true, true, false} {
		if c.BeginRetry() != want {
			t.Errorf("retry %d with a budget of 20 %% of 10 requests", i)
		}
	}
	if n := c.Counters(); n.Retries != 2 || n.RetryOverflow != 2 {
		t.Errorf("%+v", n)
	}
}

// Requests that wait for a connection get one in their order, and those that
// may not wait are refused at once.
func TestPendingRequestsQueue(t *testing.T) {
	l := listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxConnections: upstream.AtMost(1), MaxPending: upstream.AtMost(3)}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(l.addr())})
	e := c.Endpoints()[0]
	held := get(t, e)
	type got struct {
		who  int
		conn *upstream.HTTP1
	}
	out := make(chan got)
	for i := range 3 {
		go func() {
			h, err := e.HTTP1(context.Background(), false)
			if err != nil {
				t.Error(err)
			}
			out <- got{i, h}
		}()
		waittest.Until(t, "the request waits", func() bool { return c.Counters().Pending == int64(i+1) })
	}
	if _, err := e.HTTP1(context.Background(), false); !errors.Is(err, upstream.ErrOverflow) {
		t.Fatalf("one more than may wait: %v", err)
	}
	if _, err := e.DialTCP(context.Background()); !errors.Is(err, upstream.ErrOverflow) {
		t.Fatalf("bytes above max_connections: %v", err)
	}
	// The first gets the connection that was given back, the second one that is
	// made in place of one that was closed, the third what is given back again.
	held.Put()
	a := <-out
	if a.who != 0 || a.conn != held || !a.conn.Reused {
		t.Fatalf("request %d got the connection first", a.who)
	}
	a.conn.Close()
	b := <-out
	if b.who != 1 || b.conn == held {
		t.Fatalf("request %d came second", b.who)
	}
	b.conn.Put()
	if d := <-out; d.who != 2 || d.conn != b.conn {
		t.Fatalf("request %d came third", d.who)
	}
	if n := c.Counters(); n.Pending != 0 || n.Connections != 1 || n.PendingOverflow != 1 || n.ConnectionOverflow != 1 || n.Connected != 2 {
		t.Errorf("%+v", n)
	}
	// One that gives up leaves the queue.
	ctx, cancel := context.WithCancel(context.Background())
	failed := make(chan error)
	go func() {
		_, err := e.HTTP1(ctx, false)
		failed <- err
	}()
	waittest.Until(t, "it waits", func() bool { return c.Counters().Pending == 1 })
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) || c.Counters().Pending != 0 {
		t.Errorf("given up: %v, %+v", err, c.Counters())
	}
}

// An endpoint without a connection is always allowed one: else requests to it
// would wait for ever.
func TestEachEndpointHasOneConnection(t *testing.T) {
	a, b := listen(t), listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxConnections: upstream.AtMost(1), MaxPending: upstream.AtMost(0)}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(a.addr()), spec(b.addr())})
	if _, err := c.Endpoints()[0].HTTP1(context.Background(), false); !errors.Is(err, upstream.ErrOverflow) {
		t.Errorf("max_pending_requests 0: %v", err)
	}
	r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxConnections: upstream.AtMost(1), MaxPending: upstream.AtMost(1)}})
	get(t, c.Endpoints()[0])
	get(t, c.Endpoints()[1])
	r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxPerEndpoint: upstream.AtMost(1), MaxPending: upstream.AtMost(1)}})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Endpoints()[0].HTTP1(ctx, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second connection to one endpoint: %v", err)
	}
}

// Many requests on few connections: never more connections than allowed, none
// is lost, all are served.
func TestPoolUnderPressure(t *testing.T) {
	l := listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxConnections: upstream.AtMost(3)}, Connections: upstream.Connections{MaxRequests: 5}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(l.addr())})
	e := c.Endpoints()[0]
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for k := range 40 {
				ctx, cancel := context.WithCancel(context.Background())
				if (i+k)%9 == 0 {
					time.AfterFunc(50*time.Microsecond, cancel)
				}
				h, err := e.HTTP1(ctx, k%11 == 0)
				cancel()
				if err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					continue
				}
				if n := c.Counters().Connections; n > 3 {
					t.Errorf("%d connections", n)
				}
				if k%7 == 0 {
					h.Abort()
				} else {
					h.Put()
				}
			}
		})
	}
	wg.Wait()
	if n := c.Counters(); n.Pending != 0 || n.Connections > 3 || n.Connections < 0 {
		t.Errorf("at rest: %+v", n)
	}
	r.SetEndpoints("api", nil)
	waittest.Until(t, "all are closed", func() bool { return c.Counters().Connections == 0 })
}

func TestConnectionsAreKeptAsToldTo(t *testing.T) {
	l := listen(t)
	r := registry(t, upstream.Options{})
	apply := func(n upstream.Connections) *upstream.Endpoint {
		c := r.Apply(upstream.Spec{Name: "api", Connections: n})
		r.SetEndpoints("api", []upstream.EndpointSpec{spec(l.addr())})
		return c.Endpoints()[0]
	}
	e := apply(upstream.Connections{MaxRequests: 2})
	a := get(t, e)
	a.Put()
	if b := get(t, e); b != a {
		t.Error("a connection for two requests carried one")
	}
	a.Put()
	if b := get(t, e); b == a {
		t.Error("a connection for two requests carries a third")
	} else {
		b.Close()
	}
	e = apply(upstream.Connections{MaxRequests: 1})
	a = get(t, e)
	a.Put()
	if _, err := a.Write([]byte("x")); err == nil && a.Flush() == nil {
		t.Error("a connection for one request is kept")
	}
	e = apply(upstream.Connections{Idle: 100 * time.Millisecond})
	get(t, e).Put()
	waittest.Until(t, "the idle connection is closed long before the default", func() bool { return e.Cluster().Counters().Connections == 0 })
	e = apply(upstream.Connections{MaxAge: 100 * time.Millisecond})
	a = get(t, e)
	waittest.Until(t, "a connection that is too old is not used again", func() bool {
		a.Put()
		b := get(t, e)
		old := a != b
		a = b
		return old
	})
	// Connections of one's own are shared with no one, those of others are.
	other := r.Apply(upstream.Spec{Name: "other"})
	r.SetEndpoints("other", []upstream.EndpointSpec{spec(l.addr())})
	a.Put()
	if b := get(t, other.Endpoints()[0]); b == a {
		t.Error("a connection with its own settings was given to another cluster")
	} else {
		b.Put()
		if e.Active() != other.Endpoints()[0].Active() {
			t.Error("the load of one address is not the same for both")
		}
	}
}

// Connections to the other endpoints of a service are there before they are
// picked, and so they are to endpoints that join.
func TestWarmUp(t *testing.T) {
	var ls []*listener
	var specs []upstream.EndpointSpec
	for range 3 {
		l := listen(t)
		ls, specs = append(ls, l), append(specs, spec(l.addr()))
	}
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api"})
	r.SetEndpoints("api", specs[:2])
	if n := c.Counters().Connections; n != 0 {
		t.Errorf("%d connections to a service that nobody uses", n)
	}
	get(t, c.Endpoints()[0]).Put()
	waittest.Until(t, "the other one has a connection", func() bool { n, _ := ls[1].count(); return n == 1 })
	r.SetEndpoints("api", specs)
	waittest.Until(t, "the new one has a connection", func() bool { n, _ := ls[2].count(); return n == 1 })
	waittest.Until(t, "it is used", func() bool {
		h := get(t, c.Endpoints()[2])
		defer h.Close()
		return h.Reused
	})
}

func TestEjectionSurvivesConfiguration(t *testing.T) {
	o := balance.DefaultOutlier()
	o.MaxEjectionPercent, o.Interval, o.BaseEjection, o.MaxEjection = 50, 50*time.Millisecond, 3*time.Second, 3*time.Second
	r := registry(t, upstream.Options{})
	s := upstream.Spec{Name: "api", Detection: balance.Detection{Outliers: true, Outlier: o}}
	c := r.Apply(s)
	specs := []upstream.EndpointSpec{spec("10.0.0.1:80"), spec("10.0.0.2:80"), spec("10.0.0.3:80")}
	r.SetEndpoints("api", specs)
	bad := c.Endpoints()[1]
	for range 4 {
		bad.Answered(time.Time{}, 500, -1, time.Millisecond)
	}
	began := time.Now()
	bad.Answered(time.Time{}, 200, 14, time.Millisecond) // gRPC UNAVAILABLE
	picked := func() (n int) {
		for range 200 {
			if pick(t, c, &upstream.Choice{}).Address() == bad.Address() {
				n++
			}
		}
		return n
	}
	if n := picked(); n != 0 {
		t.Fatalf("an ejected endpoint was picked %d times", n)
	}
	// The same endpoint with another weight, another algorithm, other limits.
	specs[1].Weight = 5
	r.SetEndpoints("api", specs)
	s.Balance.Algorithm, s.Limits.MaxConnections = balance.RoundRobin, upstream.AtMost(7)
	r.Apply(s)
	if n := picked(); n != 0 || c.Endpoints()[1].Health() != "out" {
		t.Errorf("after changes of the configuration it was picked %d times", n)
	}
	if got := c.Endpoints()[1].Latency(); got < time.Microsecond {
		t.Errorf("its latency is forgotten: %v", got)
	}
	if n := c.Counters(); n.Ejected != 1 || n.Ejections != 1 {
		t.Errorf("%+v", n)
	}
	waittest.Until(t, "it is let in again", func() bool { return picked() > 0 })
	if d := time.Since(began); d < o.BaseEjection {
		t.Errorf("it was out for %v", d)
	}
}

// A failed connect is locally originated; so is a broken try.
func TestLocalFailuresEject(t *testing.T) {
	dead := porttest.Nobody(t)
	o := balance.DefaultOutlier()
	o.SplitLocal, o.ConsecutiveLocal, o.MaxEjectionPercent = true, 3, 100
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Detection: balance.Detection{Outliers: true, Outlier: o}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(dead.String())})
	e := c.Endpoints()[0]
	for range 2 {
		if _, err := e.HTTP1(context.Background(), false); !errors.Is(err, upstream.ErrConnect) {
			t.Fatal(err)
		}
	}
	if e.Health() != "in" {
		t.Error("out too early")
	}
	e.Broke(time.Time{}, upstream.TimedOut)
	if _, err := c.Pick(context.Background(), &upstream.Choice{}); !errors.Is(err, upstream.ErrNoEndpoint) {
		t.Errorf("with its only endpoint ejected and no panic threshold: %v", err)
	}
	if n := c.Counters(); n.ConnectFailed != 2 || n.Connections != 0 {
		t.Errorf("%+v", n)
	}
}

func TestAccrualProbes(t *testing.T) {
	r := registry(t, upstream.Options{})
	// No pause of this process is as long as the penalty.
	penalty := 2 * time.Second
	c := r.Apply(upstream.Spec{Name: "api", Detection: balance.Detection{Accrual: balance.Accrual{MaxFailures: 2, MinPenalty: penalty, MaxPenalty: time.Minute}}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80")})
	e := c.Endpoints()[0]
	e.Answered(time.Time{}, 503, -1, 0)
	began := time.Now()
	e.Broke(time.Time{}, upstream.Reset)
	try := func() bool { _, err := c.Pick(context.Background(), &upstream.Choice{}); return err == nil }
	waittest.Until(t, "it is probed", try)
	if d := time.Since(began); d < penalty {
		t.Errorf("picked %v after it was taken out", d)
	}
	if try() {
		t.Error("a second probe")
	}
	e.Answered(time.Time{}, 200, -1, time.Millisecond)
	for range 2 {
		if !try() {
			t.Error("not in after a success")
		}
	}
}

func TestChoiceFollowsItsHash(t *testing.T) {
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Balance: balance.Options{Algorithm: balance.RingHash}})
	var specs []upstream.EndpointSpec
	for _, a := range []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"} {
		specs = append(specs, spec(a))
	}
	r.SetEndpoints("api", specs)
	used := map[*upstream.Endpoint]bool{}
	for user := range uint64(50) {
		var first *upstream.Endpoint
		for range 5 {
			var ch upstream.Choice
			ch.SetHash(balance.Hash([]byte{byte(user)}))
			e := pick(t, c, &ch)
			if first == nil {
				first = e
			}
			if e != first {
				t.Fatal("one key goes to two endpoints")
			}
			if pick(t, c, &ch) == first {
				t.Fatal("a second try goes to the same endpoint")
			}
			ch.Forget()
			if pick(t, c, &ch) != first {
				t.Fatal("when the tried are forgotten the key belongs to another")
			}
		}
		used[first] = true
	}
	if len(used) != 4 {
		t.Errorf("50 keys used %d of 4 endpoints", len(used))
	}
}

func TestPickOfAClusterAllocatesNothing(t *testing.T) {
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Detection: balance.Detection{Outliers: true, Outlier: balance.DefaultOutlier()}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80"), spec("10.0.0.2:80"), spec("10.0.0.3:80")})
	ctx, ch, now := context.Background(), &upstream.Choice{}, time.Now()
	if n := testing.AllocsPerRun(200, func() {
		ch.Reset(spec("10.0.0.9:80").Address)
		ch.Now = now
		e, err := c.Pick(ctx, ch)
		if err != nil || e.Enter() != nil {
			t.Fatal(err)
		}
		e.Answered(now, 200, -1, time.Millisecond)
		e.Leave()
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTry(b *testing.B) {
	r := upstream.NewRegistry(upstream.Options{})
	defer r.Close()
	c := r.Apply(upstream.Spec{Name: "api", Detection: balance.Detection{Outliers: true, Outlier: balance.DefaultOutlier()}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec("10.0.0.1:80"), spec("10.0.0.2:80"), spec("10.0.0.3:80")})
	ctx, ch := context.Background(), &upstream.Choice{}
	b.ReportAllocs()
	for b.Loop() {
		now := time.Now()
		ch.Reset(c.Endpoints()[0].Address())
		ch.Now = now
		e, err := c.Pick(ctx, ch)
		if err != nil || e.Enter() != nil {
			b.Fatal(err)
		}
		e.Answered(now, 200, -1, time.Millisecond)
		e.Leave()
	}
}

// A connection is given back while somebody waits for one to another endpoint:
// it waits for its next request, and for nothing else.
func TestIdleBesideAnotherEndpointsQueue(t *testing.T) {
	a, b := listen(t), listen(t)
	r := registry(t, upstream.Options{})
	c := r.Apply(upstream.Spec{Name: "api", Limits: upstream.Limits{MaxConnections: upstream.AtMost(2)}})
	r.SetEndpoints("api", []upstream.EndpointSpec{spec(a.addr()), spec(b.addr())})
	e := c.Endpoints()
	idle, busy := get(t, e[0]), get(t, e[1])
	got := make(chan *upstream.HTTP1)
	go func() {
		h, err := e[1].HTTP1(context.Background(), false)
		if err != nil {
			t.Error(err)
		}
		got <- h
	}()
	waittest.Until(t, "the request waits", func() bool { return c.Counters().Pending == 1 })
	back := make(chan struct{})
	go func() { idle.Put(); close(back) }()
	select {
	case <-back:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection is being given back for ever")
	}
	busy.Put()
	if h := <-got; h != busy {
		t.Error("the request did not get the connection that it waited for")
	}
	if h := get(t, e[0]); h != idle {
		t.Error("the idle connection is not used again")
	}
}
