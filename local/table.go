package local

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// printTable writes the live table in the manner of `linkerd viz stat`.
func printTable(w io.Writer, services []ServiceStats, splits []SplitStats) error {
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "SERVICE\tSUCCESS\tRPS\tLATENCY_P50\tLATENCY_P95\tLATENCY_P99\tMTLS\t")
	for _, s := range services {
		if s.Requests == 0 {
			fmt.Fprintf(t, "%s\t-\t-\t-\t-\t-\t-\t\n", s.Name)
			continue
		}
		fmt.Fprintf(t, "%s\t%.2f%%\t%.1frps\t%s\t%s\t%s\t%.0f%%\t\n", s.Name, 100*s.Success, s.RPS, ms(s.P50), ms(s.P95), ms(s.P99), 100*s.MTLS)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(splits) == 0 {
		return nil
	}
	var parts []string
	total := 0
	for _, s := range splits {
		total += s.Requests
	}
	for _, s := range splits {
		share := 0.0
		if total > 0 {
			share = 100 * float64(s.Requests) / float64(total)
		}
		parts = append(parts, fmt.Sprintf("%s %.1f%% (weight %d)", s.Backend, share, s.Weight))
	}
	_, err := fmt.Fprintf(w, "split of %s: %s\n", splits[0].Service, strings.Join(parts, ", "))
	return err
}

func ms(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1fms", v)
	}
	return fmt.Sprintf("%.0fms", v)
}
