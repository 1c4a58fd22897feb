package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weftmesh/weft/control/xds"
)

// destinations that each sidecar uses.
const destinations = 10

// newServices is how many services that do not exist yet a sidecar asks for.
const newServices = 24

// fleet are the clients of one measurement.
type fleet struct {
	clients []*client
}

func (f *fleet) close() {
	for _, c := range f.clients {
		c.close()
	}
}

// sidecarsOf connects sidecars, each with services 0 and 1 and eight others.
func sidecarsOf(ctx context.Context, w *weft, a *authority, n, services int) (*fleet, error) {
	f := &fleet{clients: make([]*client, n)}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(50)
	for i := range n {
		g.Go(func() error {
			ns := namespaceOf(i)
			leaf, err := a.leaf(ns, "default")
			if err != nil {
				return err
			}
			c, err := a.connect(ctx, w.discovery, "weft-proxy", ns, fmt.Sprintf("client-%d", i), leaf)
			if err != nil {
				return err
			}
			f.clients[i] = c
			c.chase(false)
			names := []string{xds.VirtualOutbound, xds.VirtualInbound, xds.Siblings}
			for d := range destinations {
				s := d
				if d > 1 {
					s = (i*37 + d*41) % services
				}
				names = append(names, xds.AddressName(serviceIP(s), servicePort))
			}
			slices.Sort(names)
			c.subscribe(xds.SecretType, xds.RootCA)
			c.subscribe(xds.ListenerType, slices.Compact(names)...)
			return c.answered(gctx)
		})
	}
	return f, g.Wait()
}

// expect has every client ask for the addresses of services to come.
func (f *fleet) expect(ctx context.Context) error {
	var names []string
	for n := range newServices {
		names = append(names, xds.AddressName(addressAt(firstNewService, n+1), servicePort))
	}
	var errs []error
	for _, c := range f.clients {
		c.subscribe(xds.ListenerType, names...)
		errs = append(errs, c.answered(ctx))
	}
	return errors.Join(errs...)
}

func (f *fleet) received() (bytes, resources int) {
	for _, c := range f.clients {
		c.mu.Lock()
		bytes, resources = bytes+c.bytes, resources+c.count
		c.mu.Unlock()
	}
	return bytes, resources
}

// change is one change in effect: when the median and the last of the clients
// had it, what it cost weft-control, and what was sent.
type change struct {
	median, last, cpu time.Duration
	bytes, resources  int
	// translated is how often the pipeline was run for it.
	translated float64
}

// settle is how long the cost of a change is counted after the last client has it.
const settle = 150 * time.Millisecond

// apply makes a change and waits until every client has another version of each name.
func (f *fleet) apply(ctx context.Context, w *weft, watch []name, write func() error) (change, error) {
	before := make([][]string, len(f.clients))
	for i, c := range f.clients {
		for _, n := range watch {
			before[i] = append(before[i], c.version(n))
		}
	}
	runs, err := w.metric(translationsMetric)
	if err != nil {
		return change{}, err
	}
	pause(ctx, settle) // the scrape costs, too
	bytes, resources := f.received()
	cpu, err := w.cpu()
	if err != nil {
		return change{}, err
	}
	began := time.Now()
	if err := write(); err != nil {
		return change{}, err
	}
	var took []time.Duration
	for i, c := range f.clients {
		var at time.Time
		err := c.wait(ctx, fmt.Sprintf("client %d has %v", i, watch), func() bool {
			for j, n := range watch {
				if c.versions[n] == before[i][j] {
					return false
				}
				if c.arrived[n].After(at) {
					at = c.arrived[n]
				}
			}
			return true
		})
		if err != nil {
			return change{}, err
		}
		took = append(took, at.Sub(began))
	}
	pause(ctx, settle)
	out := change{}
	after, err := w.cpu()
	if err != nil {
		return out, err
	}
	slices.Sort(took)
	out.median, out.last, out.cpu = took[len(took)/2], took[len(took)-1], after-cpu
	moreBytes, moreResources := f.received()
	out.bytes, out.resources = moreBytes-bytes, moreResources-resources
	moreRuns, err := w.metric(translationsMetric)
	out.translated = moreRuns - runs
	return out, err
}

// wildcard is the first full set of a client like Envoy.
type wildcard struct {
	took, cpu        time.Duration
	bytes, resources int
}

// envoy connects a wildcard client and waits until it has everything.
func (a *authority) envoy(ctx context.Context, w *weft, i int) (*client, wildcard, error) {
	ns := namespaceOf(i)
	leaf, err := a.leaf(ns, "default")
	if err != nil {
		return nil, wildcard{}, err
	}
	cpu, err := w.cpu()
	if err != nil {
		return nil, wildcard{}, err
	}
	began := time.Now()
	c, err := a.connect(ctx, w.discovery, "envoy", ns, fmt.Sprintf("envoy-%d", i), leaf)
	if err != nil {
		return nil, wildcard{}, err
	}
	c.chase(true)
	c.subscribe(xds.ClusterType)
	c.subscribe(xds.ListenerType)
	if err := c.answered(ctx); err != nil {
		c.close()
		return nil, wildcard{}, err
	}
	// Listeners come in several responses; the last of what they lead to ends it.
	quiet, last := 0, 0
	for quiet < 10 {
		pause(ctx, 10*time.Millisecond)
		c.mu.Lock()
		if len(c.asked) == 0 && c.count == last {
			quiet++
		} else {
			quiet = 0
		}
		last = c.count
		c.mu.Unlock()
	}
	out := wildcard{}
	c.mu.Lock()
	for _, at := range c.arrived {
		out.took = max(out.took, at.Sub(began))
	}
	out.bytes, out.resources = c.bytes, c.count
	c.mu.Unlock()
	after, err := w.cpu()
	out.cpu = after - cpu
	return c, out, err
}
