package bench

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// IdleCell is the memory of sidecars that have carried nothing yet.
const IdleCell = "idle"

// Report is a run to be shown.
type Report struct {
	Ours    string // the peer that the others are compared with
	Peers   []string
	Cells   []Cell
	Outcome Outcome
}

// Write prints what was measured, the ratios, and the goals, as Markdown.
func (r Report) Write(w io.Writer) {
	for _, c := range r.Cells {
		r.cell(w, c)
	}
	r.memory(w)
	r.bounds(w)
	o := r.Outcome
	fmt.Fprintf(w, "\n%d slices kept in %d rounds; %d thrown away because other work took more than %.2f core; %d of those kept were disturbed at every attempt.\n",
		len(o.Slices), o.Rounds, o.Repeated, MaxOther, o.Disturbed)
	for _, s := range o.Skipped {
		fmt.Fprintf(w, "left out: %s\n", s)
	}
}

// present are the peers with slices of a cell.
func (r Report) present(cell string) []string {
	var out []string
	for _, p := range r.Peers {
		if of(r.Outcome.Slices, cell, p, "cpu").N > 0 {
			out = append(out, p)
		}
	}
	return out
}

func (r Report) cell(w io.Writer, c Cell) {
	peers := r.present(c.Name)
	if len(peers) == 0 || c.Memory() {
		return
	}
	fmt.Fprintf(w, "\n%s\n\n", c.Name)
	rows := [][]string{{"peer", "CPU µs/" + c.Unit, "1/s", "p50 ms", "p99 ms", r.Ours + "/peer: CPU", "1/s", "p50", "p99"}}
	for _, p := range peers {
		row := []string{p}
		for _, m := range []string{"cpu", "rps", "p50", "p99"} {
			row = append(row, of(r.Outcome.Slices, c.Name, p, m).String())
		}
		for _, m := range []string{"cpu", "rps", "p50", "p99"} {
			x := "-"
			if p != r.Ours {
				x = Ratio(r.Outcome.Slices, c.Name, r.Ours, p, m).String()
			}
			row = append(row, x)
		}
		rows = append(rows, row)
	}
	markdown(w, rows)
}

func (r Report) memory(w io.Writer) {
	cells := []string{IdleCell}
	for _, c := range r.Cells {
		if c.Memory() || c.Load.Connections == 1000 {
			cells = append(cells, c.Name)
		}
	}
	rows := [][]string{append([]string{"RSS MiB, outbound / inbound"}, cells...)}
	for _, p := range r.Peers {
		row := []string{p}
		for _, c := range cells {
			var out, in []float64
			for _, s := range r.Outcome.Slices {
				if s.Cell == c && s.Peer == p && s.Out > 0 {
					out, in = append(out, s.Out), append(in, s.In)
				}
			}
			x := "-"
			if len(out) > 0 {
				x = fmt.Sprintf("%.1f / %.1f", SpreadOf(out).Median, SpreadOf(in).Median)
			}
			row = append(row, x)
		}
		rows = append(rows, row)
	}
	fmt.Fprint(w, "\nmemory\n\n")
	markdown(w, rows)
}

// bounds prints each goal for which there are figures.
func (r Report) bounds(w io.Writer) {
	rows := [][]string{{"goal", "against", "bound", "measured", ""}}
	for _, b := range Bounds() {
		s := of(r.Outcome.Slices, b.Cell, r.Ours, b.Metric)
		against := "-"
		if b.Peer != "" {
			against, s = b.Peer, Ratio(r.Outcome.Slices, b.Cell, r.Ours, b.Peer, b.Metric)
		}
		if s.N == 0 {
			continue
		}
		limit := "≤ " + number(b.Max)
		if b.Min > 0 {
			limit = "≥ " + number(b.Min)
		}
		rows = append(rows, []string{b.Cell + " " + b.Metric, against, limit, s.String(), map[bool]string{true: "met", false: "MISSED"}[b.Met(s)]})
	}
	if len(rows) > 1 {
		fmt.Fprint(w, "\ngoals\n\n")
		markdown(w, rows)
	}
}

// markdown prints a table whose source is aligned too.
func markdown(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	line := func(r []string) {
		for i, c := range r {
			fmt.Fprintf(w, "| %s%s ", c, strings.Repeat(" ", width[i]-len([]rune(c))))
		}
		fmt.Fprintln(w, "|")
	}
	line(rows[0])
	rule := make([]string, len(width))
	for i := range rule {
		rule[i] = strings.Repeat("-", width[i])
	}
	for _, r := range slices.Insert(slices.Clone(rows[1:]), 0, rule) {
		line(r)
	}
}
