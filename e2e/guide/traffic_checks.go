package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/traffic"
)

// Objects of the guide stay once they are applied: each check sees all those
// before it in effect too.

// trafficSplit: 10 % of the requests go to the canary, and not before.
func trafficSplit(ctx context.Context, p *Pass, s Step) error {
	if err := p.unsplit(ctx); err != nil {
		return err
	}
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	return p.splits(ctx)
}

// serviceProfile: requests of its route are retried where the response is a
// failure, and time out; others are not. The split stays in effect.
func serviceProfile(ctx context.Context, p *Pass, s Step) error {
	if err := p.tries(ctx, "before", 1, "x-status=500"); err != nil {
		return fmt.Errorf("before the profile: %w", err)
	}
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	if err := within(ctx, 20*time.Second, func() error { return p.tries(ctx, "applied", 4, "x-status=500") }); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error { return p.timesOut(ctx, "profile", 0) })
	g.Go(func() error {
		return errors.Join(
			p.tries(ctx, "503", 4, "x-status=503"), p.tries(ctx, "404", 1, "x-status=404"), p.tries(ctx, "200", 1, "x-status=200"),
			p.tries(ctx, "post", 1, "x-status=500", "-method", "POST"),
			p.tries(ctx, "other", 1, "x-status=500", "-target", "http://api/api/v1/orders"),
			p.retried(ctx, 0.1, 0.02), p.splits(ctx))
	})
	return g.Wait()
}

// routing: requests that ask for the canary get it, the others are split
// 90/10, and neither is so before. The subsets that it names are defined by the
// guide's next object, which is therefore applied with it.
func routing(ctx context.Context, p *Pass, s Step) error {
	subsets, err := p.block("yaml: DestinationRule api-destination")
	if err != nil {
		return err
	}
	if err := p.unsplit(ctx); err != nil {
		return err
	}
	if err := errors.Join(p.apply(ctx, s.Text), p.apply(ctx, subsets)); err != nil {
		return err
	}
	return p.routed(ctx)
}

// routed: 90/10, and all to the canary for those who ask for it.
func (p *Pass) routed(ctx context.Context) error {
	if err := p.splits(ctx); err != nil {
		return err
	}
	if err := p.splits(ctx, "-header", "x-canary=false"); err != nil {
		return err
	}
	r, err := p.load(ctx, "-rate", "100", "-n", "100", "-header", "x-canary=true")
	if err != nil {
		return err
	}
	if err := r.Problem(); err != nil {
		return err
	}
	if r.Share("canary") != 1 {
		return fmt.Errorf("of the requests with x-canary: true only %.0f %% reach the canary", 100*r.Share("canary"))
	}
	return nil
}

// destinationRule: its subsets are there to be routed to, a busy endpoint gets
// fewer requests, connections and requests are limited, and an endpoint that
// fails five times in a row is taken away for 30 s.
func destinationRule(ctx context.Context, p *Pass, s Step) error {
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	// The limits are tried on the canary while a stable endpoint is away.
	return errors.Join(p.splits(ctx), p.fewestRequests(ctx),
		p.ejects(ctx, ejection{failing: 1, after: 5, out: 1, longest: 65 * time.Second, meanwhile: p.limits}))
}

// fewestRequests: of two endpoints the one that takes 300 ms gets far less than
// half of the requests, as an even distribution would give it.
func (p *Pass) fewestRequests(ctx context.Context) error {
	apps, _, err := traffic.Apps(ctx, p.Cluster, "production", "version=stable", "api")
	if err != nil {
		return err
	}
	if len(apps) != 2 {
		return fmt.Errorf("%d stable pods, not 2", len(apps))
	}
	if _, err := apps[0].Tell(ctx, "/stall/300"); err != nil {
		return err
	}
	r, err := p.load(ctx, "-rate", "100", "-n", "300")
	if _, e := apps[0].Tell(ctx, "/stall/0"); e != nil || err != nil {
		return errors.Join(err, e)
	}
	if err := r.Problem(); err != nil {
		return err
	}
	if slow, quick := r.Backends[apps[0].Pod], r.Backends[apps[1].Pod]; slow*4 > quick {
		return fmt.Errorf("the busy endpoint got %d requests, the other %d", slow, quick)
	}
	return nil
}

// limits: of 1,200 requests at once 1,000 are carried, for HTTP between
// proxies is HTTP/2; of 250 connections 100 are made, 100 wait until
// those end, and the others are refused. What is refused is so at once, and
// flagged UO.
func (p *Pass) limits(ctx context.Context) (problems error) {
	const hold = 3000 // ms
	for _, c := range []struct {
		what           string
		rate           string
		sent, accepted int
		fewer          int     // so many of them may be taken up already
		longest        float64 // ms, of what is accepted
		args           []string
	}{
		{"requests", "1000000", 1200, 1000, 0, 2 * hold, []string{"-header", fmt.Sprintf("x-delay-ms=%d", hold)}},
		// Not all at once: a connection that is being made counts as waiting too.
		// Those that all other requests share are among the hundred.
		{"connections", "250", 250, 200, 4, 3 * hold, []string{"-proto", "upgrade", "-target", "http://api/upgrade", "-hold", "3s"}},
	} {
		// To the canary, which is one pool of one endpoint.
		args := append([]string{"-rate", c.rate, "-n", fmt.Sprint(c.sent), "-for", "30s", "-timeout", "25s", "-header", "x-canary=true"}, c.args...)
		var r report.Report
		refused, err := p.flagged(ctx, "UO", func() (err error) {
			r, err = p.load(ctx, args...)
			return err
		})
		if err != nil {
			return err
		}
		switch {
		case r.OK > c.accepted || r.OK < c.accepted-c.fewer:
			err = fmt.Errorf("of %d %s %d were accepted, not %d: %v %s", c.sent, c.what, r.OK, c.accepted, r.Codes, r.Why())
		// The frontend's own ten requests a second meet the limit too.
		case r.Codes["503"] != c.sent-r.OK || refused < r.Codes["503"] || refused > r.Codes["503"]+hold/50:
			err = fmt.Errorf("of %d %s %d were refused with 503 and %d counted as UO, not %d: %v %s", c.sent, c.what, r.Codes["503"], refused, c.sent-r.OK, r.Codes, r.Why())
		case r.FailedMax > hold/2:
			err = fmt.Errorf("%s above the limit were refused after %.0f ms only", c.what, r.FailedMax)
		case r.Max > c.longest:
			err = fmt.Errorf("%s within the limit took %.0f ms", c.what, r.Max)
		}
		problems = errors.Join(problems, err)
	}
	return problems
}

// flagged is how many requests of the frontend's proxy were counted with a
// response flag while f ran.
func (p *Pass) flagged(ctx context.Context, flag string, f func() error) (int, error) {
	pods, err := traffic.Pods(ctx, p.Cluster, "production", "app=frontend")
	if err != nil || len(pods) != 1 {
		return 0, errors.Join(fmt.Errorf("%d pods of the frontend", len(pods)), err)
	}
	before, err := traffic.Flagged(ctx, p.Cluster, pods[0], flag)
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := traffic.Flagged(ctx, p.Cluster, pods[0], flag)
	return int(after - before), err
}

// circuitBreaker: where it is the elder of the two rules, which say different
// things about the same fields, an endpoint that fails three times in a row is
// taken away for 30 s, and never more than half of the endpoints are. What the
// other rule says about other fields stays in effect.
func circuitBreaker(ctx context.Context, p *Pass, s Step) error {
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	other, err := p.block("yaml: DestinationRule api-destination")
	if err != nil {
		return err
	}
	if _, err := p.Kubectl(ctx, "-n", "production", "delete", "destinationrule", "api-destination", "--ignore-not-found"); err != nil {
		return err
	}
	if err := p.apply(ctx, other); err != nil {
		return err
	}
	if err := p.scale(ctx, 4); err != nil {
		return err
	}
	err = p.ejects(ctx, ejection{failing: 3, after: 3, out: 2, longest: 45 * time.Second})
	if err := errors.Join(err, p.scale(ctx, 2)); err != nil {
		return err
	}
	return p.routed(ctx)
}

// scale changes the number of stable pods and waits until it is so.
func (p *Pass) scale(ctx context.Context, n int) error {
	if _, err := p.Kubectl(ctx, "-n", "production", "scale", "deployment/api", fmt.Sprintf("--replicas=%d", n)); err != nil {
		return err
	}
	if err := p.rolledOut(ctx); err != nil {
		return err
	}
	return within(ctx, 20*time.Second, func() error {
		pods, err := traffic.Pods(ctx, p.Cluster, "production", "version=stable")
		if err == nil && len(pods) != n {
			err = fmt.Errorf("%d stable pods, not %d", len(pods), n)
		}
		if err != nil {
			return err
		}
		r, err := p.load(ctx, "-rate", "200", "-n", "200", "-header", "x-canary=false")
		if err != nil {
			return err
		}
		if delete(r.Backends, ""); len(r.Backends) != n+1 {
			return fmt.Errorf("%d pods answer, not %d", len(r.Backends), n+1)
		}
		return r.Problem()
	})
}

// ejection is what is to be seen of stable endpoints that answer 500.
type ejection struct {
	failing int           // so many of them fail
	after   int           // so many failures take one away
	out     int           // so many of them are taken away
	longest time.Duration // until they are back
	// meanwhile is done while they are away.
	meanwhile func(context.Context) error
}

// ejects makes stable endpoints answer 500 to everything and counts what they
// are asked by the answers, then makes them well and waits for their return.
func (p *Pass) ejects(ctx context.Context, want ejection) error {
	apps, pods, err := traffic.Apps(ctx, p.Cluster, "production", "version=stable", "api")
	if err != nil {
		return err
	}
	if len(apps) <= want.failing {
		return fmt.Errorf("%d stable pods", len(apps))
	}
	tell := func(path string) (err error) {
		for _, a := range apps[:want.failing] {
			_, e := a.Tell(ctx, path)
			err = errors.Join(err, e)
		}
		return err
	}
	failures := func() ([]int, error) {
		var out []int
		for _, pod := range pods[:want.failing] {
			n, err := traffic.Counter(ctx, p.Cluster, pod, "response_total", map[string]string{"direction": "inbound", "status_code": "500"})
			if err != nil {
				return nil, err
			}
			out = append(out, int(n))
		}
		return out, nil
	}
	before, err := failures()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := tell("/fail/500"); err != nil {
		return err
	}
	// One after the other, so that the count is exact.
	_, err = p.load(ctx, "-rate", "30", "-n", "240", "-header", "x-canary=false")
	if err := errors.Join(err, tell("/fail/0")); err != nil {
		return err
	}
	well := time.Now()
	after, err := failures()
	if err != nil {
		return err
	}
	out, met := 0, []int{}
	for i := range after {
		n := after[i] - before[i]
		met = append(met, n)
		if n >= want.after && n <= want.after+1 { // one may be on its way
			out++
		}
	}
	if want.meanwhile != nil {
		err = want.meanwhile(ctx)
	}
	if out != want.out {
		return errors.Join(err, fmt.Errorf("of %d endpoints that fail %d were taken away after %d failures, not %d; they met %v", want.failing, out, want.after, want.out, met))
	}
	if err != nil {
		return err
	}
	if err := within(ctx, max(want.longest-time.Since(well), 5*time.Second), func() error {
		r, err := p.load(ctx, "-rate", "200", "-n", "200")
		if err != nil {
			return err
		}
		for _, a := range apps {
			if r.Backends[a.Pod] == 0 {
				return fmt.Errorf("%s is still away %.0f s after it was taken away", a.Pod, time.Since(began).Seconds())
			}
		}
		return nil
	}); err != nil {
		return err
	}
	// It was taken away between began and well.
	if away := time.Since(began); away < 29*time.Second {
		return fmt.Errorf("an endpoint was back after %.1f s, not 30 (it was well %.1f s ago)", away.Seconds(), time.Since(well).Seconds())
	}
	return nil
}

// retries: a request is sent four times in all on the conditions that are
// listed, and just once on others; each try has 10 s.
func retries(ctx context.Context, p *Pass, s Step) error {
	if err := p.tries(ctx, "before", 1, "x-status=500"); err != nil {
		return fmt.Errorf("before the policy: %w", err)
	}
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	if err := within(ctx, 20*time.Second, func() error { return p.tries(ctx, "applied", 4, "x-status=500") }); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error { // a try after 0, 10, 20 and 30 s
		r, n, err := p.slow(ctx, "per-try")
		if err != nil {
			return err
		}
		if r.Codes["504"] != 1 || r.Max < 39_500 || r.Max > 43_000 || n != 4 {
			return fmt.Errorf("a request that is never answered ended after %.1f s and %d tries, not 40 s and 4: %v %s", r.Max/1000, n, r.Codes, r.Why())
		}
		return nil
	})
	g.Go(func() error {
		return errors.Join(
			p.tries(ctx, "409", 4, "x-status=409"), p.tries(ctx, "503", 4, "x-status=503"), p.tries(ctx, "404", 1, "x-status=404"),
			// A GET the server's proxy may send again by itself, on a new connection.
			p.tries(ctx, "reset", 4, "x-reset=1", "-method", "POST"), p.tries(ctx, "200", 1, "x-status=200"), p.retried(ctx, 0.3, 0.05))
	})
	return g.Wait()
}

// timeout: a request without an answer within 30 s fails then with 504. The
// retries stay in effect, and so does the routing.
func timeout(ctx context.Context, p *Pass, s Step) error {
	if err := p.apply(ctx, s.Text); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error {
		return within(ctx, 70*time.Second, func() error { return p.timesOut(ctx, "timeout", 3) })
	})
	g.Go(func() error { return errors.Join(p.tries(ctx, "still", 4, "x-status=500"), p.routed(ctx)) })
	return g.Wait()
}

// unsplit: before there is a split the canary, one of three, has more than 15 %.
func (p *Pass) unsplit(ctx context.Context) error {
	r, err := p.load(ctx, "-rate", "300", "-n", "600")
	if err != nil {
		return err
	}
	if err := r.Problem(); err != nil {
		return err
	}
	if r.Share("canary") < 0.15 {
		return fmt.Errorf("before the split only %.1f %% go to the canary", 100*r.Share("canary"))
	}
	return nil
}

// splits waits until the canary has 10 % of 1,000 requests, within three points.
func (p *Pass) splits(ctx context.Context, args ...string) error {
	const share = 0.1
	return within(ctx, 20*time.Second, func() error {
		r, err := p.load(ctx, append([]string{"-rate", "300", "-n", "1000"}, args...)...)
		if err != nil {
			return err
		}
		if err := r.Problem(); err != nil {
			return err
		}
		if got := r.Share("canary"); math.Abs(got-share) > 0.03 {
			return fmt.Errorf("%.1f %% go to the canary, not %.0f %%", 100*got, 100*share)
		}
		return nil
	})
}

// tries sends one request with a header that says how it is answered, and
// counts how often it arrives.
func (p *Pass) tries(ctx context.Context, what string, want int, header string, args ...string) error {
	mark := p.mark(what)
	r, err := p.load(ctx, append([]string{"-rate", "1", "-n", "1", "-header", header, "-header", "x-mark=" + mark}, args...)...)
	if err != nil {
		return err
	}
	n, err := p.seen(ctx, mark)
	if err != nil {
		return err
	}
	if status, ok := strings.CutPrefix(header, "x-status="); ok && r.Codes[status] != 1 {
		return fmt.Errorf("a request with %s was answered %v: %s", header, r.Codes, r.Why())
	}
	if n != want {
		return fmt.Errorf("a request with %s %v was tried %d times, not %d; answered %v", header, args, n, want, r.Codes)
	}
	return nil
}

func (p *Pass) mark(what string) string {
	return fmt.Sprintf("%s-%d", what, time.Now().UnixNano())
}

// seen is how often a marked request has arrived at any pod of the API.
func (p *Pass) seen(ctx context.Context, mark string) (int, error) {
	apps, _, err := traffic.Apps(ctx, p.Cluster, "production", "app=api", "api")
	sum := 0
	for _, a := range apps {
		n, e := a.Seen(ctx, mark)
		sum, err = sum+n, errors.Join(err, e)
	}
	return sum, err
}

// slow sends a request that is answered after 60 s, and says how often it
// arrived.
func (p *Pass) slow(ctx context.Context, what string) (report.Report, int, error) {
	mark := p.mark(what)
	r, err := p.load(ctx, "-n", "1", "-rate", "1", "-for", "55s", "-timeout", "50s", "-header", "x-delay-ms=60000", "-header", "x-mark="+mark)
	if err != nil {
		return r, 0, err
	}
	n, err := p.seen(ctx, mark)
	return r, n, err
}

// timesOut: a request without an answer is given up with 504 after 30 s, and
// has been tried at least so often.
func (p *Pass) timesOut(ctx context.Context, what string, tries int) error {
	r, n, err := p.slow(ctx, what)
	if err != nil {
		return err
	}
	if r.Failed != 1 || r.Codes["504"] != 1 || r.Max < 29_500 || r.Max > 32_000 || n < tries {
		return fmt.Errorf("a request that is never answered was not given up with 504 after 30 s but with %v after %.1f s and %d tries: %s", r.Codes, r.Max/1000, n, r.Why())
	}
	return nil
}

// retried: of requests of which a part fails at the server, nearly all succeed.
func (p *Pass) retried(ctx context.Context, fail, most float64) error {
	r, err := p.load(ctx, "-rate", "100", "-n", "300", "-header", fmt.Sprintf("x-fail-rate=%.2f", fail))
	if err != nil {
		return err
	}
	if failed := float64(r.Failed) / float64(r.Sent); failed > most {
		return fmt.Errorf("%.0f %% of the requests fail although they are to be retried", 100*failed)
	}
	return nil
}
