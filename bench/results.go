package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Results is bench/out/results.json.
type Results struct {
	Date     time.Time         `json:"date"`
	Machine  string            `json:"machine"`
	Versions map[string]string `json:"versions"`
	Rounds   int               `json:"rounds"`
	Repeated int               `json:"slices_thrown_away"`
	Kept     int               `json:"disturbed_slices_kept"`
	LeftOut  []string          `json:"left_out,omitempty"`
	Rows     []Row             `json:"rows"`
}

// Row is one peer under one load; the plain figures are medians.
type Row struct {
	Peer        string  `json:"peer"`
	Protocol    string  `json:"protocol"`
	Load        string  `json:"load"`
	Connections int     `json:"connections"`
	Streams     int     `json:"streams,omitempty"`
	Rate        int     `json:"rate"` // 0 is as many as possible
	CPU         float64 `json:"cpu_us_per_request"`
	RPS         float64 `json:"rps"`
	P50         float64 `json:"p50_ms"`
	P99         float64 `json:"p99_ms"`
	RSS         float64 `json:"rss_mib"` // of the larger sidecar
	// Spread has median, least and most of each figure, and how many.
	Spread map[string]Spread `json:"spread"`
	// Ratio is ours over the peer's, round by round.
	Ratio map[string]Spread `json:"ours_over_peer,omitempty"`
	Unit  string            `json:"unit"` // what a "request" is in this row
}

// Rows are all figures of a report.
func (r Report) Rows() []Row {
	rows := []Row{}
	for _, c := range append([]Cell{{Name: IdleCell, Protocol: IdleCell}}, r.Cells...) {
		for _, p := range r.present(c.Name) {
			row := Row{Peer: p, Protocol: c.Protocol, Load: c.Name, Connections: c.Load.Connections, Streams: c.Load.Streams, Rate: c.Load.Rate, Unit: c.Unit,
				Spread: map[string]Spread{}}
			for name, to := range map[string]*float64{"cpu": &row.CPU, "rps": &row.RPS, "p50": &row.P50, "p99": &row.P99, "rss": &row.RSS} {
				s := of(r.Outcome.Slices, c.Name, p, name)
				*to = s.Median
				row.Spread[name] = s
				if q := Ratio(r.Outcome.Slices, c.Name, r.Ours, p, name); p != r.Ours && q.N > 0 {
					if row.Ratio == nil {
						row.Ratio = map[string]Spread{}
					}
					row.Ratio[name] = q
				}
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// Save writes results.json into a folder.
func (r Results) Save(dir string) (string, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode the results: %w", err)
	}
	file := filepath.Join(dir, "results.json")
	return file, os.WriteFile(file, append(b, '\n'), 0o644)
}
