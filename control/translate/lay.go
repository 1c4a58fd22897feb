package translate

import (
	"fmt"
	"slices"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/mesh"
)

// mostAlternatives bounds what overlays with matches make of the rules of one
// service port: each alternative is held and compared by every client.
const mostAlternatives = 4096

// mostPairs bounds how many pairs of a rule's and an overlay's matches are
// compared for that.
const mostPairs = 1 << 20

// layer puts overlays under the rules of one service port.
type layer struct {
	overlays []fragment.Overlay
	// taken are the parts of each overlay that are in effect somewhere; fits says
	// that there are requests of a rule for it.
	taken []map[string]bool
	fits  []bool
	// known are the literal beginnings of paths.
	known literals
	// alternatives and pairs are what is left of the bounds.
	alternatives, pairs int
	// plain are the rules for which the bounds leave nothing.
	plain []*mesh.Rule
}

// lay puts overlays under the rules. One with matches makes a more special rule
// before each rule; one without fills the rule itself. Parts of an overlay that
// are in effect nowhere are told to its object.
//
// Where the special rules come to too many, the rule that takes what no other
// takes has them, since that is what they were written for, and the others as
// long as the bounds last. The rest goes where it would go, without the policy of
// overlays with matches.
func (m *merger) lay(rules []mesh.Rule, overlays []fragment.Overlay, k portKey, scope string) []mesh.Rule {
	if len(overlays) == 0 {
		return rules
	}
	l := layer{overlays: overlays, taken: make([]map[string]bool, len(overlays)), fits: make([]bool, len(overlays)), known: literals{}, alternatives: mostAlternatives, pairs: mostPairs}
	for i := range overlays {
		l.taken[i], l.fits[i] = map[string]bool{}, len(overlays[i].Matches) == 0
	}
	special := make([][]mesh.Rule, len(rules))
	all := slices.IndexFunc(rules, func(r mesh.Rule) bool { return r.IsAll() })
	if all >= 0 {
		special[all] = l.special(&rules[all], true)
	}
	var out []mesh.Rule
	for i, r := range rules {
		if i != all {
			special[i] = l.special(&rules[i], false)
		}
		out = append(out, special[i]...)
		if n := len(special[i]); n > 0 && l.nothingLeft(special[i][n-1].Matches, r.Matches) {
			continue
		}
		l.general(&r)
		out = append(out, r)
	}
	l.tell(m, k, scope)
	return out
}

// nothingLeft says that a special rule takes all that its rule does: it has the
// rule's own matches.
func (l *layer) nothingLeft(special, rule []mesh.Match) bool {
	return len(special) == len(rule) && (len(rule) == 0 || &special[0] == &rule[0])
}

// special makes the special rules of a rule; none where they are too many and it
// need not have them.
func (l *layer) special(r *mesh.Rule, always bool) []mesh.Rule {
	if l.alternatives <= 0 && !always {
		if slices.ContainsFunc(l.overlays, func(o fragment.Overlay) bool { return len(o.Matches) > 0 }) {
			l.plain = append(l.plain, r)
		}
		return nil
	}
	type part struct {
		overlay int
		matches []mesh.Match
		all     bool
	}
	var parts []part
	n := 0
	for i := range l.overlays {
		o := &l.overlays[i]
		if len(o.Matches) == 0 {
			continue
		}
		if slices.ContainsFunc(o.Matches, func(m mesh.Match) bool { return m.IsAll() }) {
			parts = append(parts, part{i, r.Matches, true})
			n += max(1, len(r.Matches))
			break // nothing is left of the rule
		}
		l.pairs -= max(1, len(r.Matches)) * len(o.Matches)
		if l.pairs < 0 && !always {
			n = l.alternatives + 1
			break
		}
		if matches := join(r.Matches, o.Matches, l.known); len(matches) > 0 {
			parts = append(parts, part{i, matches, false})
			n += len(matches)
		}
		if n > l.alternatives && !always {
			break
		}
	}
	if n > l.alternatives && !always {
		l.plain = append(l.plain, r)
		return nil
	}
	l.alternatives -= n
	out := make([]mesh.Rule, 0, len(parts))
	for _, p := range parts {
		o, special := &l.overlays[p.overlay], *r
		l.fits[p.overlay] = true
		special.Matches = p.matches
		if o.Name != "" {
			special.Name = o.Name
		}
		note(l.taken[p.overlay], fill(&special, o.Policy))
		l.general(&special)
		out = append(out, special)
	}
	return out
}

// general fills a rule from the overlays for all requests.
func (l *layer) general(r *mesh.Rule) {
	for i := range l.overlays {
		if len(l.overlays[i].Matches) == 0 {
			note(l.taken[i], fill(r, l.overlays[i].Policy))
		}
	}
}

func note(to map[string]bool, fields []string) {
	for _, f := range fields {
		to[f] = true
	}
}

// tell says what of the overlays is in effect nowhere, and why.
func (l *layer) tell(m *merger, k portKey, scope string) {
	port := "port " + portString(k.port) + " of service " + k.service.String()
	if len(l.plain) > 0 {
		first := l.plain[0].Origin
		told := map[mesh.Origin]bool{}
		for i := range l.overlays {
			o := &l.overlays[i]
			if len(o.Matches) == 0 || told[o.Origin] {
				continue
			}
			told[o.Origin] = true
			m.tell(problem.New(problem.TooManyAlternatives, o.Origin, o.Field, fmt.Sprintf("with the rules for %s it and its like come to more than %d alternatives", port, mostAlternatives),
				"begin the paths of conditions with literal text, or write fewer"), "", scope, fmt.Sprintf("; for %d of the rules, the first %s of %s, they are not in effect", len(l.plain), first.Field, first))
		}
	}
	var before *fragment.Overlay // that takes every request
	for i := range l.overlays {
		o := &l.overlays[i]
		special := len(o.Matches) > 0
		if !special || len(l.plain) == 0 {
			why, end, remedy := "every rule for "+port, " has its own %s, or an older object's; this one is not in effect", "say it once"
			switch {
			case special && before != nil:
				why, end, remedy = before.Field+" of "+before.Origin.String()+" takes every request to "+port, "; behind it %s is not in effect", "let it come before"
				if before.Origin == o.Origin {
					why = before.Field + " takes every request to " + port
				}
			case !l.fits[i]:
				why, end, remedy = "no rule takes requests to "+port, " that it describes; its %s is not in effect", "write a rule for them, or remove it"
			}
			l.lost(m, i, why, end, remedy, scope)
		}
		if special && before == nil && slices.ContainsFunc(o.Matches, func(m mesh.Match) bool { return m.IsAll() }) {
			before = o
		}
	}
}

// lost tells an overlay of its parts that are in effect nowhere.
func (l *layer) lost(m *merger, i int, why, end, remedy, scope string) {
	o := &l.overlays[i]
	for _, part := range said(o.Policy) {
		if l.taken[i][part] {
			continue
		}
		field := o.Fields[part]
		if field == "" && o.Field != "" {
			field = o.Field + "." + part
		}
		if field == "" {
			field = part
		}
		m.tell(problem.New(problem.Code(o.Code), o.Origin, field, why, remedy), "", scope, fmt.Sprintf(end, part))
	}
}
