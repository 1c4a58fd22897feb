package main

import (
	"fmt"
	"io"
)

// comparedProxies is the number of proxies that the bounds are for.
const comparedProxies = 50

// bound is a figure and what it must be at most.
type bound struct {
	what         string
	value, limit float64
	unit         string
	istiod       string
}

// bounds of the mesh of 2,000 services.
func (r result) bounds() []bound {
	out := []bound{{"start to ready", r.Ready.Median, 1000, "ms", "1,180–1,680"}}
	for _, f := range r.Fleets {
		if f.Proxies != comparedProxies {
			continue
		}
		out = append(out,
			bound{"RSS at rest", f.Idle, 180, "MiB", "374–564"},
			bound{"RSS at the peak of the changes", f.Peak, 240, "MiB", "1,176–1,334"},
			bound{"configuration of one sidecar", f.PerProxy, 100, "KiB", "8,460–10,400"})
		for _, c := range f.Changes {
			limit, istiod := 100.0, map[string][2]string{"VirtualService": {"2,707", "4.2"}, "DestinationRule": {"2,330", "4.0"}, "new Service": {"2,034", "3.6"},
				"mesh-wide setting": {"1,750", "2.4"}, "EndpointSlice": {"126", "0.06"}}[c.What]
			if c.What == "EndpointSlice" {
				limit = 20
				out = append(out, bound{c.What + ": translations", c.Translated, 0, "", "0"})
			}
			out = append(out, bound{c.What + ": the last proxy has it", c.Last.Median, limit, "ms", istiod[0]}, bound{c.What + ": CPU", c.CPU.Median, 0.05, "s", istiod[1]})
		}
	}
	return append(out, bound{"wildcard client, next: first full set", r.Next.Took.Median, 300, "ms", "280"}, bound{"wildcard client, next: CPU", r.Next.CPU.Median, 0.1, "s", "0.35"})
}

// print writes the figures as Markdown.
func print(w io.Writer, results []result) {
	for _, r := range results {
		fmt.Fprintf(w, "\n## %d services, %d endpoints, %d VirtualServices, %d DestinationRules%s\n\n", r.Services, r.Services*endpointsEach, (r.Services+1)/2, (r.Services+1)/2, map[bool]string{true: ", with pods"}[r.Pods])
		fmt.Fprintf(w, "start to ready %s ms, %s CPU-s; RSS without a proxy %.0f MiB\n\n", r.Ready.text(0), r.ReadyCPU.text(2), r.Alone)
		fmt.Fprintln(w, "| proxies | all connected ms | CPU-s | KiB each | RSS at rest | idle CPU ms/s | RSS peak | RSS after |\n|---|---|---|---|---|---|---|---|")
		for _, f := range r.Fleets {
			fmt.Fprintf(w, "| %d | %.0f | %.2f | %.1f | %.0f | %.1f | %.0f | %.0f |\n", f.Proxies, f.Connect, f.ConnectC, f.PerProxy, f.Idle, f.IdleCPU, f.Peak, f.AfterIdle)
		}
		fmt.Fprintln(w, "\n| proxies | change | median proxy ms | last proxy ms | CPU-s | CPU-s mean | pushed KiB | resources | translations |\n|---|---|---|---|---|---|---|---|---|")
		for _, f := range r.Fleets {
			for _, c := range f.Changes {
				c.row(w, fmt.Sprint(f.Proxies))
			}
		}
		r.One.row(w, "wildcard")
		fmt.Fprintf(w, "\nwildcard client: %d resources, %.1f MiB; the first %.0f ms, %.2f CPU-s; the next %s ms, %s CPU-s\n", r.Next.Resources, r.Next.MiB, r.First.Took.Median, r.First.CPU.Median, r.Next.Took.text(0), r.Next.CPU.text(3))
	}
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(w, "\n| bound, %d services, %d proxies | measured | at most | | istiod |\n|---|---|---|---|---|\n", results[0].Services, comparedProxies)
	for _, b := range results[0].bounds() {
		met := "met"
		if b.value > b.limit {
			met = "**missed**"
		}
		fmt.Fprintf(w, "| %s | %.4g %s | %g | %s | %s |\n", b.what, b.value, b.unit, b.limit, met, b.istiod)
	}
	growth(w, results)
}

func (c changeResult) row(w io.Writer, who string) {
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %.3f | %.1f | %.0f | %.3g |\n", who, c.What, c.Median.text(0), c.Last.text(0), c.CPU.text(3), c.Mean, c.KiB, c.Resources, c.Translated)
}

func (s spread) text(digits int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// growth compares the first mesh with the others, at the same number of proxies.
func growth(w io.Writer, results []result) {
	at := func(r result) *fleetResult {
		for i := range r.Fleets {
			if r.Fleets[i].Proxies == comparedProxies {
				return &r.Fleets[i]
			}
		}
		return nil
	}
	base := at(results[0])
	for _, r := range results[1:] {
		f := at(r)
		if base == nil || f == nil {
			continue
		}
		fmt.Fprintf(w, "\n%d services instead of %d (×%.1f), %d proxies: ready ×%.1f, RSS at rest ×%.1f, KiB a sidecar ×%.1f", r.Services, results[0].Services,
			float64(r.Services)/float64(results[0].Services), comparedProxies, ratio(r.Ready.Median, results[0].Ready.Median), ratio(f.Idle, base.Idle), ratio(f.PerProxy, base.PerProxy))
		for i, c := range f.Changes {
			fmt.Fprintf(w, "; %s time ×%.1f CPU ×%.1f", c.What, ratio(c.Last.Median, base.Changes[i].Last.Median), ratio(c.CPU.Median, base.Changes[i].CPU.Median))
		}
		fmt.Fprintln(w)
	}
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
