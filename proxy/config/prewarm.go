package config

import "strings"

// siblings is the listener that lists the destinations which other proxies of
// the same workload use (docs/xds.md). They are asked for once, at the first
// stream, so that the workload's first requests meet known destinations, also
// when the control plane dies right after the start.
const siblings = "siblings"

// maxPrewarm bounds the list.
const maxPrewarm = 256

// prewarm asks for the destinations of the siblings' list, the first time that
// it arrives. Those that nobody then uses are given up like any other. It is
// called with the lock.
func (s *Store) prewarm() {
	l, answer := s.listeners.get(siblings)
	if s.prewarmed || answer == asked {
		return
	}
	s.prewarmed = true
	if answer == absent {
		return
	}
	for _, name := range l.siblings {
		if s.dests[name] == nil && !reserved(name) && len(s.dests) < maxPrewarm {
			s.dests[name] = newTracked(name)
		}
	}
}

// readSiblings reads the list from the listener's metadata.
func readSiblings(meta map[string]string) []string { return strings.Fields(meta["destinations"]) }
