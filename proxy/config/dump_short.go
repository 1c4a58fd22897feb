package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/upstream"
)

// lines collects settings in short form, one a line.
type lines []string

func (l *lines) add(format string, a ...any) { *l = append(*l, fmt.Sprintf(format, a...)) }

func (l *lines) span(name string, d time.Duration) {
	if d > 0 {
		l.add("%s %s", name, d)
	}
}

// percent writes a share.
func percent(s route.Share) string {
	return strconv.FormatFloat(float64(s)/(route.Million/100), 'f', -1, 64) + "%"
}

// shortPolicies is what a rule asks for besides a backend.
func shortPolicies(r *route.Rule) (l lines) {
	t := r.Traffic
	if t == nil {
		t = &route.Traffic{}
	}
	l.span("timeout", t.Timeout)
	l.span("stream timeout", t.Stream)
	l.span("try timeout", t.TryTimeout)
	l.span("response timeout", t.Response)
	shortRetry(&l, t)
	if t.Delay != nil {
		l.add("fault: delay %s for %s", t.Delay.For, percent(t.Delay.Share))
	}
	if a := t.Abort; a != nil {
		what := "status " + itoa(a.Status)
		if a.Status == 0 {
			what = "gRPC status " + itoa(a.GRPC)
		}
		l.add("fault: abort with %s for %s", what, percent(a.Share))
	}
	if t.CORS != nil {
		l.add("cors")
	}
	if d := t.Redirect; d != nil {
		text := fmt.Sprintf("redirect %d", d.Status)
		for _, part := range []string{d.Scheme, d.Host, shortPath(&d.Path)} {
			if part != "" {
				text += " " + part
			}
		}
		if d.Port > 0 {
			text += " port " + itoa(int(d.Port))
		}
		l.add("%s", text)
	}
	if t.Direct != nil {
		l.add("direct response %d, %d bytes", t.Direct.Status, len(t.Direct.Body))
	}
	if w := t.Rewrite; w != nil {
		shortRewrite(&l, w)
	}
	for i := range t.Mirrors {
		l.add("mirror %s of it to %s", percent(t.Mirrors[i].Share), t.Mirrors[i].Name)
	}
	for i := range t.Hash {
		p := &t.Hash[i]
		l.add("%s", strings.TrimSpace("hash "+[...]string{"header", "cookie", "source address", "query parameter"}[p.Kind]+" "+p.Name))
	}
	for _, c := range t.Classes {
		l.add("status %d-%d is a %s", c.Min, c.Max, map[bool]string{true: "failure", false: "success"}[c.Failure])
	}
	if n := r.Headers.Request.Count(); n > 0 {
		l.add("%d changes of request headers", n)
	}
	if n := r.Headers.Response.Count(); n > 0 {
		l.add("%d changes of response headers", n)
	}
	return l
}

func shortRetry(l *lines, t *route.Traffic) {
	p := t.Retry
	switch {
	case p == nil:
	case p.Retries == 0:
		l.add("retry never")
	default:
		text := fmt.Sprintf("retry %d times on %s", p.Retries, p.On)
		if len(p.Statuses) > 0 {
			text += fmt.Sprintf(" %d", p.Statuses)
		}
		if p.AvoidPrevious {
			text += ", elsewhere"
		}
		if t.Budget != nil {
			text += ", within a budget"
		}
		l.add("%s", text)
	}
}

func shortPath(p *filter.Path) string {
	switch {
	case p.Full != "":
		return "path " + p.Full
	case p.HasPrefix:
		return "prefix " + p.Prefix
	case p.Regex != nil:
		return "regex " + p.Regex.String()
	}
	return ""
}

func shortRewrite(l *lines, w *filter.Rewrite) {
	if p := shortPath(&w.Path); p != "" {
		l.add("rewrite %s", p)
	}
	switch {
	case w.Host != "":
		l.add("rewrite host %s", w.Host)
	case w.HostField != "":
		l.add("rewrite host from header %s", w.HostField)
	case w.HostRegex != nil:
		l.add("rewrite host from path %s", w.HostRegex)
	}
}

// shortSettings is what a cluster says beyond its defaults. Keys are not told.
func shortSettings(s *upstream.Spec) (l lines) {
	switch {
	case s.Plaintext:
		l.add("plaintext")
	case s.Originate != nil:
		shortTLS(&l, s.Originate)
	case !s.Identity.IsZero():
		l.add("mutual TLS with %s", s.Identity)
	}
	switch {
	case s.HTTP2:
		l.add("HTTP/2")
	case s.FollowClient:
		l.add("the client's HTTP version")
	}
	limit := func(name string, n upstream.Limit) {
		if n.Set {
			l.add("at most %d %s", n.Max, name)
		}
	}
	limit("connections", s.Limits.MaxConnections)
	limit("connections an endpoint", s.Limits.MaxPerEndpoint)
	limit("pending requests", s.Limits.MaxPending)
	limit("requests", s.Limits.MaxRequests)
	if s.Limits.RetryBudget {
		l.add("retries at most %g%% of requests, or %d", s.Limits.RetryPercent, s.Limits.MinRetries)
	} else {
		limit("retries", s.Limits.MaxRetries)
	}
	n := &s.Connections
	if n.MaxRequests > 0 {
		l.add("%d requests a connection", n.MaxRequests)
	}
	if n.MaxStreams > 0 {
		l.add("%d requests at once on a connection", n.MaxStreams)
	}
	if n.Idle == never {
		l.add("idle connections stay")
	} else {
		l.span("idle timeout", n.Idle)
	}
	l.span("connection lifetime", n.MaxAge)
	l.span("ping every", n.Ping)
	if n.KeepAlive != (upstream.KeepAlive{}) {
		l.add("TCP keepalive %s %s %d", n.KeepAlive.Time, n.KeepAlive.Interval, n.KeepAlive.Probes)
	}
	shortDetection(&l, &s.Detection)
	l.span("slow start", s.Balance.SlowStart.Window)
	if s.Balance.LocalityWeighted {
		l.add("localities weighted")
	}
	if s.Balance.ZonePercent > 0 {
		l.add("own zone %s for %g%%", s.Balance.Zone.Zone, s.Balance.ZonePercent)
	}
	return l
}

func shortTLS(l *lines, o *upstream.Origination) {
	text := "originates TLS"
	if o.Certificate != (upstream.Material{}) {
		text = "originates mutual TLS"
	}
	if o.ServerName != "" {
		text += " to " + o.ServerName
	}
	if o.Insecure {
		text += ", any certificate"
	}
	for i, n := range o.Names {
		text += [...]string{", named ", " or "}[min(i, 1)] + n.Value
	}
	if o.Roots.File != "" {
		text += ", trusting " + o.Roots.File
	}
	l.add("%s", text)
}

func shortDetection(l *lines, d *balance.Detection) {
	if a := d.Accrual; a.MaxFailures > 0 {
		l.add("failure accrual: %d in a row, %s to %s", a.MaxFailures, a.MinPenalty, a.MaxPenalty)
	}
	if d.Outliers {
		o := &d.Outlier
		text := "outlier detection:"
		for _, k := range []struct {
			n, enforced uint32
			what        string
		}{{o.Consecutive5xx, o.Enforce5xx, "5xx"}, {o.ConsecutiveGateway, o.EnforceGateway, "gateway errors"}} {
			if k.n > 0 && k.enforced > 0 {
				text += fmt.Sprintf(" %d %s in a row,", k.n, k.what)
			}
		}
		l.add("%s every %s for %s, at most %d%%", text, o.Interval, o.BaseEjection, o.MaxEjectionPercent)
	}
}
