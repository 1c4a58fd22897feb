package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftmesh/weft/e2e/traffic"
)

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
