package local

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Report is the scripted form's last line.
type Report struct {
	Front    string         `json:"front"`
	Services []ServiceStats `json:"services"`
	Splits   []SplitStats   `json:"splits"`
}

// watch shows the table each second and reports at the end.
func (s *shopRun) watch(ctx context.Context, loadEnded <-chan struct{}) error {
	var (
		began = time.Now()
		all   = newTally()
		rows  = 0
		sent  map[string]float64
	)
	// What was asked while the shop opened is not part of the show.
	firstSent := s.collect(ctx, all)
	first := all.byService()
	before, backend := first, firstSent
	for live := true; live; {
		if live = sleep(ctx, time.Second); !live {
			<-loadEnded
		}
		sent = s.collect(context.WithoutCancel(ctx), all)
		now := all.byService()
		if !s.JSON {
			var services []ServiceStats
			for _, name := range s.services() {
				if now[name] != nil {
					services = append(services, now[name].since(before[name]).stats(name, 1))
				}
			}
			if rows%15 != 0 && isTerminal(s.Out) {
				fmt.Fprintf(s.Out, "\x1b[%dA\x1b[J", len(services)+2)
			}
			rows++
			if err := printTable(s.Out, services, s.splits(since(sent, backend))); err != nil {
				return err
			}
		}
		before, backend = now, sent
	}
	if s.JSON {
		r := Report{Front: s.front, Splits: s.splits(since(sent, firstSent))}
		for _, name := range s.services() {
			c := before[name]
			if c == nil {
				c = newCounts()
			}
			r.Services = append(r.Services, c.since(first[name]).stats(name, time.Since(began).Seconds()))
		}
		return json.NewEncoder(s.Out).Encode(r)
	}
	return nil
}

// since is what came after old; a proxy that was started anew counts from zero.
func since(now, old map[string]float64) map[string]float64 {
	d := map[string]float64{}
	for k, v := range now {
		if d[k] = v - old[k]; d[k] < 0 {
			d[k] = v
		}
	}
	return d
}

// services in the order in which a request meets them.
func (s *shopRun) services() []string { return []string{"web", "api-stable", "api-canary", "db"} }

// collect scrapes every proxy and returns what web sent to each backend.
func (s *shopRun) collect(ctx context.Context, t *tally) map[string]float64 {
	sent := map[string]float64{}
	for _, w := range s.workloads {
		m, err := scrape(ctx, loopback(w.admin))
		if err != nil {
			continue
		}
		t.saw(w.pod, w.service, inboundCounts(m, w.service == "db"))
		if w.service == "web" {
			sent = backendCounts(m)
		}
	}
	return sent
}

// splits joins what web sent with the weights that the file says now.
func (s *shopRun) splits(sent map[string]float64) []SplitStats {
	var out []SplitStats
	for _, b := range readSplit(filepath.Join(s.folder.Config(), "policy", "split.yaml")) {
		out = append(out, SplitStats{Service: b.root, Backend: b.backend, Weight: b.weight, Requests: int(sent[b.backend])})
	}
	return out
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}
