package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weftmesh/weft/e2e/app/report"
	"github.com/weftmesh/weft/e2e/traffic"
)

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
