package control

import (
	"context"
	"log/slog"

	"github.com/weftmesh/weft/mesh"
)

// reporter tells the log of each problem once when it appears, and once when
// it is mended.
type reporter struct {
	log  *slog.Logger
	told map[string]bool // by the problem's text
	last []mesh.Problem
}

func (r *reporter) report(problems []mesh.Problem) {
	if len(problems) == len(r.last) && (len(problems) == 0 || &problems[0] == &r.last[0]) {
		return // the very same list
	}
	r.last = problems
	now := make(map[string]bool, len(problems))
	for _, p := range problems {
		text := p.String()
		now[text] = true
		if r.told[text] {
			continue
		}
		level := slog.LevelWarn
		if p.Severity == mesh.Info {
			level = slog.LevelInfo
		}
		r.log.Log(context.Background(), level, "problem", "problem", text)
	}
	for text := range r.told {
		if !now[text] {
			r.log.Info("problem mended", "problem", text)
		}
	}
	r.told = now
}
