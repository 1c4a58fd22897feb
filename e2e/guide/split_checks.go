package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
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
