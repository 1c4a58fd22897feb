package bench

import (
	"fmt"
	"slices"
)

// Spread is the median of repeated measurements and how far they lie apart.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
}

// SpreadOf is zero with no values.
func SpreadOf(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	s := slices.Sorted(slices.Values(v))
	m := s[len(s)/2]
	if len(s)%2 == 0 {
		m = (s[len(s)/2-1] + m) / 2
	}
	return Spread{m, s[0], s[len(s)-1], len(s)}
}

// String is "median [min–max]" with as many digits as make sense.
func (s Spread) String() string {
	if s.N == 0 {
		return "-"
	}
	if s.N == 1 {
		return number(s.Median)
	}
	return fmt.Sprintf("%s [%s–%s]", number(s.Median), number(s.Min), number(s.Max))
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// Slice is one measurement of one peer under one load.
type Slice struct {
	Cell, Peer string
	Round      int
	CPU        float64 // µs of both sidecars for each unit
	RPS        float64 // units a second
	P50, P99   float64 // ms
	Out, In    float64 // resident MiB of each sidecar at the end
	Other      float64 // cores that other work took
	Disturbed  bool    // by more than MaxOther, at every attempt
	Attempts   int
}

// value picks a metric.
type value func(Slice) float64

// Metrics of slices by name.
var metrics = map[string]value{
	"cpu": func(s Slice) float64 { return s.CPU }, "rps": func(s Slice) float64 { return s.RPS },
	"p50": func(s Slice) float64 { return s.P50 }, "p99": func(s Slice) float64 { return s.P99 },
	"rss": func(s Slice) float64 { return max(s.Out, s.In) },
}

// of collects a metric of one peer in one cell.
func of(all []Slice, cell, peer, metric string) Spread {
	var v []float64
	for _, s := range all {
		if s.Cell == cell && s.Peer == peer {
			v = append(v, metrics[metric](s))
		}
	}
	return SpreadOf(v)
}

// Ratio divides ours by the peer's, round by round: what disturbs a round
// disturbs both.
func Ratio(all []Slice, cell, ours, peer, metric string) Spread {
	byRound := map[int][2]float64{}
	for _, s := range all {
		if s.Cell != cell {
			continue
		}
		p := byRound[s.Round]
		switch s.Peer {
		case ours:
			p[0] = metrics[metric](s)
		case peer:
			p[1] = metrics[metric](s)
		}
		byRound[s.Round] = p
	}
	var v []float64
	for _, p := range byRound {
		if p[0] > 0 && p[1] > 0 {
			v = append(v, p[0]/p[1])
		}
	}
	return SpreadOf(v)
}
