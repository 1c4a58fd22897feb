package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weftmesh/weft/e2e/traffic"
)

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
	pods, err := traffic.Pods(ctx, p.Cluster, "production", "app=frontend")
	if err != nil || len(pods) != 1 {
		return errors.Join(fmt.Errorf("%d pods of the frontend", len(pods)), err)
	}
	// The canary is one pool of one endpoint.
	servers, _, err := traffic.Apps(ctx, p.Cluster, "production", "version=canary", "api")
	if err != nil || len(servers) != 1 {
		return errors.Join(fmt.Errorf("%d pods of the canary", len(servers)), err)
	}
	for _, l := range []traffic.Limit{
		{What: "gate", Carried: 1000, Refused: 200, Args: []string{"-target", "http://api/api/v1/users"}},
		// The connections that all other requests share are among the hundred.
		{What: "upgrade", Carried: 100, Waiting: 100, Refused: 50, Shared: 4, Args: []string{"-target", "http://api/upgrade"}},
	} {
		l.Client, l.Pod, l.Server, l.Args = p.frontend(), pods[0], servers[0], append(l.Args, "-header", "x-canary=true")
		m, err := l.Try(ctx)
		sent, accepted := l.Carried+l.Waiting+l.Refused, l.Carried+l.Waiting
		switch {
		case err != nil:
			err = fmt.Errorf("%s: %w", l.What, err)
		case m.Accepted > accepted || m.Accepted < accepted-l.Shared:
			err = fmt.Errorf("%s: of %d at once %d were accepted, not %d: %v %s", l.What, sent, m.Accepted, accepted, m.Codes, m.Why)
		// The frontend's own ten requests a second meet the limit too.
		case m.Codes["503"] != m.Refused || m.UO < m.Refused || m.UO > m.Refused+200:
			err = fmt.Errorf("%s: of %d refusals %d were 503, and %d counted as UO: %v %s", l.What, m.Refused, m.Codes["503"], m.UO, m.Codes, m.Why)
		case m.FailedMax > 1000:
			err = fmt.Errorf("%s: above the limit they were refused after %.0f ms only", l.What, m.FailedMax)
		}
		problems = errors.Join(problems, err)
	}
	return problems
}
