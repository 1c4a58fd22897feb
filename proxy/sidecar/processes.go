package sidecar

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// process is what /proc tells of one.
type process struct {
	pid, parent int
	name        string
	zombie      bool
}

// processes reads /proc (proc(5)).
func processes(root string) ([]process, error) {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, err
	}
	var out []process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(root, e.Name(), "stat"))
		if err != nil {
			continue // it has ended meanwhile
		}
		// pid (name) state ppid ...; the name may hold spaces and parentheses.
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		if open < 0 || end < open {
			continue
		}
		rest := bytes.Fields(stat[end+1:])
		if len(rest) < 2 {
			continue
		}
		parent, err := strconv.Atoi(string(rest[1]))
		if err != nil {
			continue
		}
		state := rest[0][0]
		out = append(out, process{pid: pid, parent: parent, name: string(stat[open+1 : end]), zombie: state == 'Z' || state == 'X'})
	}
	return out, nil
}

// others is how many processes of the pod are neither the pause process (1),
// nor this one, nor its children, nor another of this program (a probe).
func others(ps []process, self int) int {
	name := ""
	for _, p := range ps {
		if p.pid == self {
			name = p.name
		}
	}
	n := 0
	for _, p := range ps {
		if p.pid != 1 && p.pid != self && p.parent != self && !p.zombie && p.name != name {
			n++
		}
	}
	return n
}

// awaitLast returns true when the pod's other processes have all ended: they
// were seen, and then for two looks in a row there was none.
func awaitLast(ctx context.Context, root string, self int, every time.Duration) bool {
	seen, gone := false, 0
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		if ps, err := processes(root); err == nil {
			switch {
			case others(ps, self) > 0:
				seen, gone = true, 0
			case seen:
				gone++
			}
		}
		if gone >= 2 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
		}
	}
}
