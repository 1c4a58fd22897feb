package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// settings are what a rule does with a request beside choosing a backend.
func (x *explainer) settings(r *mesh.Rule) []Setting {
	var out []Setting
	add := func(name, value string, o mesh.Origin) {
		out = append(out, Setting{name, value, x.source(o)})
	}
	sends := r.Redirect == nil && r.Direct == nil
	t := r.Timeouts
	switch {
	case !sends:
	case t.Request == nil:
		add("timeout", "none", mesh.Origin{})
	case *t.Request == 0:
		add("timeout", "none", t.Origin)
	default:
		add("timeout", t.Request.Std().String()+", then 504", t.Origin)
	}
	for _, more := range []struct {
		name string
		d    *mesh.Duration
	}{{"timeout of a try", t.Backend}, {"timeout of the response", t.Response}, {"idle timeout", t.Idle}} {
		if sends && more.d != nil {
			add(more.name, more.d.Std().String(), t.Origin)
		}
	}
	if sends {
		out = append(out, x.retry(r.Retry))
	}
	if f := r.Fault; f != nil {
		if f.Delay != nil {
			add("delay", f.Delay.Fixed.Std().String()+" for "+share(f.Delay.Millionths), f.Origin)
		}
		if f.Abort != nil {
			code := "HTTP " + strconv.Itoa(int(f.Abort.HTTP))
			if f.Abort.GRPC != nil {
				code = "gRPC status " + strconv.Itoa(int(*f.Abort.GRPC))
			}
			add("abort", code+" for "+share(f.Abort.Millionths), f.Origin)
		}
	}
	for _, m := range r.Mirrors {
		to := m.Backend.Service.String() + ":" + strconv.Itoa(int(m.Backend.Port))
		if m.Backend.Subset != "" {
			to += " subset " + m.Backend.Subset
		}
		add("mirror", share(m.Millionths)+" to "+to, m.Origin)
	}
	if c := r.CORS; c != nil {
		add("cors", x.cors(c), c.Origin)
	}
	if w := r.Rewrite; w != nil {
		add("rewrite", rewrite(w), w.Origin)
	}
	out = append(out, x.headers(r.RequestHeaders, r.ResponseHeaders, r.Origin)...)
	if len(r.Classes) > 0 {
		var words []string
		for _, c := range r.Classes {
			for _, s := range c.Statuses {
				words = append(words, fmt.Sprintf("%d-%d is %s", s.Min, s.Max, map[bool]string{true: "a failure", false: "a success"}[c.Failure]))
			}
		}
		add("responses", strings.Join(words, ", "), r.Classes[0].Origin)
	}
	return out
}

func (x *explainer) retry(r *mesh.Retry) Setting {
	switch {
	case r == nil:
		return Setting{Name: "retry", Value: "2 tries more, where that is certainly safe"}
	case r.Attempts == 0:
		return Setting{"retry", "none", x.source(r.Origin)}
	}
	var on []string
	for _, c := range r.On {
		if c != mesh.OnRetriableStatusCodes {
			on = append(on, string(c))
		}
	}
	for _, s := range r.Statuses {
		on = append(on, strconv.Itoa(int(s)))
	}
	value := fmt.Sprintf("%d more", r.Attempts)
	if len(on) > 0 {
		value += " on " + strings.Join(on, ", ")
	}
	if r.PerTry != nil {
		value += ", each try " + r.PerTry.Std().String()
	}
	if r.Backoff > 0 {
		value += ", pauses from " + r.Backoff.Std().String()
	}
	if b := r.Budget; b != nil {
		value += fmt.Sprintf(", budget %g%% of the requests and %d a second over %s", b.Ratio*100, b.MinPerSecond, b.TTL.Std())
	}
	return Setting{"retry", value, x.source(r.Origin)}
}

func (x *explainer) cors(c *mesh.CORS) string {
	var origins []string
	for i := range c.Origins {
		origins = append(origins, describeValue(&c.Origins[i]))
	}
	var parts []string
	for _, p := range []struct {
		name string
		list []string
	}{{"origins", origins}, {"methods", c.Methods}, {"headers", c.Headers}} {
		if len(p.list) > 0 {
			parts = append(parts, p.name+" "+strings.Join(p.list, ", "))
		}
	}
	return strings.Join(parts, "; ")
}

func rewrite(w *mesh.Rewrite) string {
	var parts []string
	if w.Host != "" {
		parts = append(parts, "authority becomes "+w.Host)
	}
	switch {
	case w.Path != "":
		parts = append(parts, "path becomes "+w.Path)
	case w.PrefixPath != nil:
		parts = append(parts, "the matched prefix of the path becomes "+*w.PrefixPath)
	case w.Regex != "":
		parts = append(parts, fmt.Sprintf("in the path %q becomes %q", w.Regex, w.Substitution))
	}
	return strings.Join(parts, "; ")
}

func (x *explainer) headers(request, response mesh.HeaderChanges, o mesh.Origin) []Setting {
	var out []Setting
	for _, side := range []struct {
		name string
		h    mesh.HeaderChanges
	}{{"request headers", request}, {"response headers", response}} {
		var parts []string
		for _, h := range side.h.Set {
			parts = append(parts, "set "+h.Name+": "+h.Value)
		}
		for _, h := range side.h.Add {
			parts = append(parts, "add "+h.Name+": "+h.Value)
		}
		for _, n := range side.h.Remove {
			parts = append(parts, "remove "+n)
		}
		if len(parts) > 0 {
			out = append(out, Setting{side.name, strings.Join(parts, ", "), x.source(o)})
		}
	}
	return out
}

// share writes millionths of the requests.
func share(m uint32) string {
	if m >= 1_000_000 {
		return "all"
	}
	return percent(float64(m) / 10_000)
}

func percent(p float64) string { return strconv.FormatFloat(p, 'f', -1, 64) + "%" }

// policy is how the client uses the endpoints.
func (x *explainer) policy(p *mesh.Policy) []Setting {
	var out []Setting
	add := func(name string, parts []string, o mesh.Origin) {
		if len(parts) > 0 {
			out = append(out, Setting{name, strings.Join(parts, ", "), x.source(o)})
		}
	}
	if b := p.Balancing; b != nil {
		add("balancing", balancing(b), b.Origin)
	}
	if p.Balancing == nil {
		add("balancing", []string{"peak EWMA (HTTP), least connections (TCP)"}, mesh.Origin{})
	}
	if p.Pool != nil {
		add("pool", pool(p.Pool), p.Pool.Origin)
	}
	if o := p.Outlier; o != nil {
		add("outlier", outlier(o), o.Origin)
	}
	if a := p.Accrual; a != nil {
		add("accrual", []string{fmt.Sprintf("after %d failures in a row away for %s, at most %s", a.MaxFailures, a.MinPenalty.Std(), a.MaxPenalty.Std())}, a.Origin)
	}
	if t := p.TLS; t != nil {
		parts := []string{string(t.Mode)}
		if t.SNI != "" {
			parts = append(parts, "name "+t.SNI)
		}
		add("tls", parts, t.Origin)
	}
	if b := p.RetryBudget; b != nil {
		add("retry budget", []string{fmt.Sprintf("%g%% of what is under way, at least %d", b.Percent, b.MinConcurrency)}, b.Origin)
	}
	return out
}

func balancing(b *mesh.Balancing) []string {
	parts := []string{strings.ToLower(strings.ReplaceAll(string(b.Algorithm), "_", " "))}
	switch h := b.Hash; {
	case h != nil:
		kind := "ring hash"
		if h.Maglev {
			kind = "Maglev"
		}
		key := "source address"
		switch {
		case h.Header != "":
			key = "header " + h.Header
		case h.Cookie != nil:
			key = "cookie " + h.Cookie.Name
		case h.Query != "":
			key = "query parameter " + h.Query
		}
		parts = []string{kind + " of " + key}
	case b.Algorithm == mesh.BalanceDefault:
		parts = []string{"peak EWMA (HTTP), least connections (TCP)"}
	}
	if b.WarmUp != nil {
		parts = append(parts, "warm-up "+b.WarmUp.Duration.Std().String())
	}
	if l := b.Locality; l != nil {
		switch {
		case l.Disabled:
			parts = append(parts, "without regard to locality")
		case len(l.Distribute) > 0:
			parts = append(parts, "shares by locality")
		case l.ZoneAware != nil:
			parts = append(parts, "near first, by the size of zones")
		case len(l.Failover)+len(l.FailoverPriority) > 0:
			parts = append(parts, "near first")
		}
	}
	return parts
}

func pool(p *mesh.Pool) []string {
	var parts []string
	number := func(what string, n *uint32) {
		if n != nil {
			parts = append(parts, fmt.Sprintf("%d %s", *n, what))
		}
	}
	span := func(what string, d *mesh.Duration) {
		if d != nil {
			parts = append(parts, what+" "+d.Std().String())
		}
	}
	number("connections", p.MaxConnections)
	number("pending", p.MaxPending)
	number("requests", p.MaxRequests)
	number("requests a connection", p.MaxRequestsPerConnection)
	number("retries", p.MaxRetries)
	number("streams a connection", p.MaxStreams)
	span("connect within", p.ConnectTimeout)
	span("idle", p.HTTPIdle)
	span("idle (TCP)", p.TCPIdle)
	span("connections live", p.MaxConnectionDuration)
	if p.Upgrade != "" {
		parts = append(parts, map[mesh.Upgrade]string{mesh.DoUpgrade: "HTTP/2 always", mesh.DoNotUpgrade: "HTTP as it came"}[p.Upgrade])
	}
	return parts
}

func outlier(o *mesh.Outlier) []string {
	var parts []string
	number := func(format string, n *uint32) {
		if n != nil {
			parts = append(parts, fmt.Sprintf(format, *n))
		}
	}
	number("out after %d × 5xx in a row", o.Consecutive5xx)
	number("after %d gateway errors", o.ConsecutiveGateway)
	number("after %d local errors", o.ConsecutiveLocal)
	if o.Interval != nil {
		parts = append(parts, "looked at every "+o.Interval.Std().String())
	}
	if o.BaseEjection != nil {
		parts = append(parts, "away for "+o.BaseEjection.Std().String()+" and longer")
	}
	number("at most %d%% of them", o.MaxEjectionPercent)
	number("ignored below %d%% healthy", o.MinHealthPercent)
	if len(parts) == 0 {
		parts = []string{"defaults"}
	}
	return slices.Clip(parts)
}
