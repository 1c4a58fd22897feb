package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/weftmesh/weft/control/xds"
)

// spread is the median, the least and the most of several measurements.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	s := slices.Sorted(slices.Values(values))
	return spread{s[len(s)/2], s[0], s[len(s)-1], len(s)}
}

// result is what was measured on one mesh.
type result struct {
	Services int           `json:"services"`
	Pods     bool          `json:"pods"`
	Ready    spread        `json:"ready_ms"`
	ReadyCPU spread        `json:"ready_cpu_s"`
	Alone    float64       `json:"rss_without_proxies_mib"`
	Fleets   []fleetResult `json:"fleets"`
	// First is a wildcard client with nobody before it, Next one after another.
	First wildResult `json:"wildcard_first"`
	Next  wildResult `json:"wildcard_next"`
	// One is a changed VirtualService that a wildcard client gets.
	One changeResult `json:"wildcard_change"`
}

type fleetResult struct {
	Proxies   int            `json:"proxies"`
	Connect   float64        `json:"all_connected_ms"`
	ConnectC  float64        `json:"all_connected_cpu_s"`
	PerProxy  float64        `json:"kib_per_proxy"`
	Idle      float64        `json:"rss_idle_mib"`
	IdleCPU   float64        `json:"idle_cpu_ms_per_s"`
	Peak      float64        `json:"rss_peak_mib"`
	AfterIdle float64        `json:"rss_after_mib"`
	Changes   []changeResult `json:"changes"`
}

type changeResult struct {
	What       string  `json:"what"`
	Median     spread  `json:"median_proxy_ms"`
	Last       spread  `json:"last_proxy_ms"`
	CPU        spread  `json:"cpu_s"`
	Mean       float64 `json:"cpu_mean_s"`
	KiB        float64 `json:"pushed_kib"`
	Resources  float64 `json:"pushed_resources"`
	Translated float64 `json:"translations"`
}

type wildResult struct {
	Took      spread  `json:"ms"`
	CPU       spread  `json:"cpu_s"`
	MiB       float64 `json:"mib"`
	Resources int     `json:"resources"`
}

// bench is one mesh under measurement.
type bench struct {
	options
	size meshSize
	api  *apiServer
	auth *authority
	weft *weft
	made int // new services so far
}

func measure(ctx context.Context, o options, size meshSize) (r result, err error) {
	dir, err := os.MkdirTemp("", "weft-bench-control-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	b := &bench{options: o, size: size}
	if b.auth, err = newAuthority(dir); err != nil {
		return r, err
	}
	if b.api, err = startAPIServer(ctx, dir, os.Stderr); err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, b.api.stop()) }()
	if err := b.api.load(ctx, size); err != nil {
		return r, err
	}
	fmt.Fprintf(os.Stderr, "%d services are in the API server after %.0f s\n", size.services, time.Since(began).Seconds())
	// Compaction and watch caches settle.
	pause(ctx, 3*time.Second)
	r.Services, r.Pods = size.services, size.pods
	if err := b.starts(ctx, &r); err != nil {
		return r, err
	}
	if o.starts {
		return r, nil
	}
	for _, n := range o.proxies {
		fr, err := b.fleet(ctx, n)
		if err != nil {
			return r, fmt.Errorf("%d proxies: %w", n, err)
		}
		r.Fleets = append(r.Fleets, fr)
	}
	if err := b.wildcards(ctx, &r); err != nil {
		return r, fmt.Errorf("wildcard clients: %w", err)
	}
	return r, nil
}

// begin starts weft-control anew.
func (b *bench) begin(ctx context.Context) (err error) {
	b.weft, err = startWeft(ctx, b.program, b.api, b.auth, strings.Fields(b.more)...)
	return err
}

func (b *bench) starts(ctx context.Context, r *result) error {
	var ready, cpu []float64
	for i := range b.repeats {
		if err := b.begin(ctx); err != nil {
			return err
		}
		ready, cpu = append(ready, ms(b.weft.took)), append(cpu, b.weft.startCPU.Seconds())
		if i == b.repeats-1 {
			pause(ctx, b.idle)
			now, _, err := b.weft.memory()
			if err != nil {
				return err
			}
			r.Alone = now
		}
		if err := b.weft.stop(); err != nil {
			return err
		}
		pause(ctx, time.Second) // the API server closes its watches
	}
	r.Ready, r.ReadyCPU = spreadOf(ready), spreadOf(cpu)
	return nil
}

// fleet measures one number of sidecars, with a weft-control of its own.
func (b *bench) fleet(ctx context.Context, n int) (fr fleetResult, err error) {
	fr.Proxies = n
	if err := b.begin(ctx); err != nil {
		return fr, err
	}
	defer func() { err = errors.Join(err, b.weft.stop()) }()
	pause(ctx, 2*time.Second)
	cpu, err := b.weft.cpu()
	if err != nil {
		return fr, err
	}
	began := time.Now()
	f, err := sidecarsOf(ctx, b.weft, b.auth, n, b.size.services)
	if err != nil {
		return fr, err
	}
	defer f.close()
	fr.Connect = ms(time.Since(began))
	after, err := b.weft.cpu()
	if err != nil {
		return fr, err
	}
	fr.ConnectC = (after - cpu).Seconds()
	bytes, _ := f.received()
	fr.PerProxy = float64(bytes) / float64(n) / 1024
	if err := f.expect(ctx); err != nil {
		return fr, err
	}
	pause(ctx, b.idle)
	if fr.Idle, _, err = b.weft.memory(); err != nil {
		return fr, err
	}
	c0, _ := b.weft.cpu()
	pause(ctx, 5*time.Second)
	c1, err := b.weft.cpu()
	if err != nil {
		return fr, err
	}
	fr.IdleCPU = ms(c1-c0) / 5
	if err := b.weft.forgetPeak(); err != nil {
		return fr, err
	}
	if fr.Changes, err = b.changes(ctx, f); err != nil {
		return fr, err
	}
	if _, fr.Peak, err = b.weft.memory(); err != nil {
		return fr, err
	}
	pause(ctx, b.idle)
	fr.AfterIdle, _, err = b.weft.memory()
	return fr, err
}

func (b *bench) changes(ctx context.Context, f *fleet) (out []changeResult, err error) {
	one := func(t xds.Type, s string) func(int) []name { return func(int) []name { return []name{{t, s}} } }
	for _, c := range []struct {
		what  string
		watch func(i int) []name
		write func(i int) error
	}{
		{"VirtualService", one(xds.RouteType, xds.HostName(hostOf(0), servicePort)), func(i int) error { return b.setVirtualService(ctx, int64(10+i)) }},
		{"DestinationRule", one(xds.ClusterType, xds.SubsetName(hostOf(0), servicePort, "v1")), func(i int) error { return b.setRule(ctx, int64(200+i)) }},
		{"new Service", func(int) []name {
			return []name{{xds.ListenerType, xds.AddressName(addressAt(firstNewService, b.made%newServices+1), servicePort)}}
		}, func(int) error { return b.newService(ctx) }},
		{"mesh-wide setting", one(xds.ListenerType, xds.VirtualOutbound), func(i int) error {
			return b.setSidecar(ctx, []string{"REGISTRY_ONLY", "ALLOW_ANY"}[i%2])
		}},
		{"EndpointSlice", one(xds.EndpointType, xds.ClusterName(hostOf(1), servicePort)), func(i int) error {
			return b.setSlice(ctx, endpointsEach+1+i%2)
		}},
	} {
		var list []change
		for i := range b.repeats {
			ch, err := f.apply(ctx, b.weft, c.watch(i), func() error { return c.write(i) })
			if err != nil {
				return nil, fmt.Errorf("change of %s: %w", c.what, err)
			}
			list = append(list, ch)
		}
		if c.what == "mesh-wide setting" {
			if err := b.api.dynamic.Resource(sidecars).Namespace(rootNamespace).Delete(ctx, "default", metav1.DeleteOptions{}); err != nil {
				return nil, err
			}
			pause(ctx, time.Second)
		}
		out = append(out, changeOf(c.what, list))
	}
	return out, b.clean(ctx)
}

func changeOf(what string, list []change) changeResult {
	out := changeResult{What: what}
	var median, last, cpu []float64
	for _, c := range list {
		median, last, cpu = append(median, ms(c.median)), append(last, ms(c.last)), append(cpu, c.cpu.Seconds())
		n := float64(len(list))
		out.KiB += float64(c.bytes) / 1024 / n
		out.Resources += float64(c.resources) / n
		out.Translated += c.translated / n
		out.Mean += c.cpu.Seconds() / n
	}
	out.Median, out.Last, out.CPU = spreadOf(median), spreadOf(last), spreadOf(cpu)
	return out
}

func (b *bench) wildcards(ctx context.Context, r *result) (err error) {
	if err := b.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.weft.stop()) }()
	pause(ctx, 2*time.Second)
	first, w, err := b.auth.envoy(ctx, b.weft, 0)
	if err != nil {
		return err
	}
	defer first.close()
	r.First = wildOf([]wildcard{w})
	var list []wildcard
	for range b.repeats {
		pause(ctx, time.Second)
		c, w, err := b.auth.envoy(ctx, b.weft, 0)
		if err != nil {
			return err
		}
		c.close()
		list = append(list, w)
	}
	r.Next = wildOf(list)
	f := &fleet{clients: []*client{first}}
	var changes []change
	for i := range b.repeats {
		ch, err := f.apply(ctx, b.weft, []name{{xds.RouteType, xds.HostName(hostOf(0), servicePort)}}, func() error { return b.setVirtualService(ctx, int64(10+i)) })
		if err != nil {
			return err
		}
		changes = append(changes, ch)
	}
	r.One = changeOf("VirtualService", changes)
	return b.clean(ctx)
}

func wildOf(list []wildcard) wildResult {
	var out wildResult
	var took, cpu []float64
	for _, w := range list {
		took, cpu = append(took, ms(w.took)), append(cpu, w.cpu.Seconds())
		out.MiB, out.Resources = float64(w.bytes)/(1<<20), w.resources
	}
	out.Took, out.CPU = spreadOf(took), spreadOf(cpu)
	return out
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
