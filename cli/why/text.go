package why

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weftmesh/weft/control/explain"
	"github.com/weftmesh/weft/mesh"
)

// row is a word, what it is, and, on a line of its own, who says so.
type row struct {
	indent       int
	label, value string
	source       explain.Source
	// head is a line of its own before a section.
	head string
}

// page gathers rows and aligns their columns.
type page struct{ rows []row }

func (p *page) head(text string) { p.rows = append(p.rows, row{head: text}) }

func (p *page) add(indent int, label, value string, s explain.Source) {
	p.rows = append(p.rows, row{indent: indent, label: label, value: value, source: s})
}

// widest value before it is wrapped.
const widest = 84

func (p *page) String() string {
	labels := 0
	for _, r := range p.rows {
		labels = max(labels, 2*r.indent+utf8.RuneCountInString(r.label))
	}
	var b strings.Builder
	for i, r := range p.rows {
		if r.head != "" {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(r.head + "\n")
			continue
		}
		label := strings.Repeat("  ", r.indent) + r.label
		for _, l := range append(wrap(r.value), said(r.source)) {
			if l != "" {
				b.WriteString("  " + pad(label, labels) + "  " + l + "\n")
			}
			label = ""
		}
	}
	return b.String()
}

// said writes a source; what nobody says has none.
func said(s explain.Source) string {
	if s.IsZero() {
		return ""
	}
	return "← " + s.String()
}

func pad(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

// wrap breaks a text at spaces.
func wrap(s string) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(s) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > widest {
			out, line = append(out, line), word
			continue
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, line)
}

// text is what a person reads.
func text(d *explain.Decision) string {
	p := &page{}
	client := d.Client.Ref.String()
	if d.Client.Owner != "" {
		client += " (" + d.Client.Owner + ")"
	}
	r := d.Request
	if r.Scheme == "tcp" {
		p.head(fmt.Sprintf("connection to %s from %s", r.Authority, client))
	} else {
		p.head(fmt.Sprintf("%s %s://%s%s from %s", r.Method, r.Scheme, r.Authority, r.Target, client))
	}
	if !d.Client.Meshed {
		p.add(0, "client", "has no proxy: nothing of this happens until it is meshed", explain.Source{})
	}
	if s := d.Client.Sidecar; s != nil {
		p.add(0, "sidecar", "limits what the client sees", *s)
	}
	target(p, d)
	listener(p, d)
	if d.Route != nil {
		route(p, d.Route)
	}
	if len(d.Together) > 0 {
		p.head("Several objects for this host: all are in effect, and the oldest decides where they contradict")
		for _, s := range d.Together {
			p.add(0, s.Kind, s.Namespace+"/"+s.Name+" ("+s.Place()+")", explain.Source{})
		}
	}
	if len(d.Losers) > 0 {
		p.head("Not in effect")
		for _, l := range d.Losers {
			p.add(0, l.Code, l.Message, l.Source)
		}
	}
	if len(d.Problems) > 0 {
		p.head("Problems of the objects for this host")
		for _, x := range d.Problems {
			message := x.Message
			if x.Remedy != "" {
				message += "; " + x.Remedy
			}
			p.add(0, x.Code, message, x.Source)
		}
	}
	return p.String()
}

func target(p *page, d *explain.Decision) {
	t := d.Target
	value := t.Name
	if t.How != "" {
		value += ", " + t.How
	}
	p.add(0, "name", value, t.Source)
	if len(t.Addresses) > 0 {
		kind := string(t.Kind)
		if t.Pod != nil {
			kind = "pod " + t.Pod.String()
		}
		p.add(0, "address", strings.Join(t.Addresses, ", ")+" ("+kind+")", explain.Source{})
	}
}

func listener(p *page, d *explain.Decision) {
	l := d.Listener
	protocol := string(l.Protocol)
	switch {
	case l.Fate == explain.Passthrough || l.Fate == explain.Refused:
		protocol = string(l.Fate)
	case l.Protocol == mesh.Detect:
		protocol = "protocol detected"
	}
	if l.Fate == explain.Requests && l.Protocol.IsHTTP() {
		protocol += " (declared)"
	}
	p.add(0, "listener", l.Name+", "+protocol, l.Source)
	if l.Note != "" {
		p.add(0, "", l.Note, explain.Source{})
	}
}

func route(p *page, r *explain.Route) {
	count := "no rules: to the service itself"
	if r.Rules > 0 {
		count = plural(r.Rules, "rule")
	}
	if r.Scope != "" {
		count += ", for clients of namespace " + r.Scope + " alone"
	}
	if r.Later > 0 {
		count += ", the last " + strconv.Itoa(r.Later) + " not asked any more"
	}
	p.head("Route " + r.Name + " (" + count + ")")
	for _, e := range r.Earlier {
		p.add(0, "not "+ruleName(e.Rule, e.Name), strings.Join(e.Why, "; or: "), e.Source)
	}
	if r.Rule == nil {
		p.add(0, "answer", r.Answer, explain.Source{})
		return
	}
	u := r.Rule
	name := "rule"
	if r.Rules > 0 {
		name = ruleName(u.Rule, u.Name)
	}
	p.add(0, name, u.Match, u.Source)
	if r.Answer != "" {
		p.add(1, "answer", r.Answer, u.Source)
	}
	for _, s := range u.Settings {
		p.add(1, s.Name, s.Value, s.Source)
	}
	for i := range u.Backends {
		var like *explain.Backend
		if i > 0 {
			like = &u.Backends[0]
		}
		backend(p, &u.Backends[i], like)
	}
}

func ruleName(i int, name string) string {
	out := "rule " + strconv.Itoa(i+1)
	if name != "" {
		out += " " + name
	}
	return out
}

func title(b *explain.Backend) string {
	out := b.Service.String() + ":" + strconv.Itoa(int(b.Port))
	if b.Subset != "" {
		out += " subset " + b.Subset
	}
	return out
}

// backend writes one; what is said of it as of another is not said again.
func backend(p *page, b, like *explain.Backend) {
	p.head(fmt.Sprintf("%s%% to %s", strconv.FormatFloat(b.Percent, 'g', 4, 64), title(b)))
	if b.Invalid != "" {
		p.add(0, "invalid", b.Invalid+"; its share is answered "+strconv.Itoa(b.Status), b.Source)
		return
	}
	if len(b.Labels) > 0 {
		p.add(0, "labels", strings.ReplaceAll(mesh.LabelString(b.Labels), ",", ", "), b.Source)
	}
	if like != nil && len(b.Settings) > 1 && slices.Equal(b.Settings, like.Settings) {
		p.add(0, "policy", "the same as for "+title(like), explain.Source{})
	} else {
		for _, s := range b.Settings {
			p.add(0, s.Name, s.Value, s.Source)
		}
	}
	if b.Note != "" {
		p.add(0, "endpoints", b.Note, explain.Source{})
	}
	const most = 8
	for i, e := range b.Endpoints {
		label := ""
		if i == 0 && b.Note == "" {
			label = "endpoints"
		}
		if i == most {
			p.add(0, label, fmt.Sprintf("and %d more", len(b.Endpoints)-most), explain.Source{})
			return
		}
		p.add(0, label, endpoint(&e), explain.Source{})
	}
}

func endpoint(e *explain.Endpoint) string {
	parts := []string{e.Address}
	if e.Workload != "" {
		parts = append(parts, e.Workload)
	}
	if e.Health != "" {
		parts = append(parts, string(e.Health))
	}
	if e.Identity != "" {
		parts = append(parts, strings.TrimPrefix(e.Identity, "spiffe://"))
	} else {
		parts = append(parts, "not meshed")
	}
	if e.Zone != "" {
		parts = append(parts, "zone="+e.Zone)
	}
	return strings.Join(parts, "  ")
}

func plural(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return strconv.Itoa(n) + " " + word
}
