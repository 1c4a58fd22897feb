package config

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/weftmesh/weft/proxy/route"
)

// decodeMetadata reads what is ours of a route: where it came from, Linkerd's
// retry budget, the least pause before a retry, the bound of a response, and what
// a failure is.
func (u *rule) decodeMetadata(b []byte) error {
	m, _, err := weftMetadata(b)
	if err != nil {
		return err
	}
	u.origin = m["origin"]
	if v := m["response_timeout"]; v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 || d > maxSpan {
			return invalid("weft.response_timeout %q", v)
		}
		if d > 0 {
			u.ask().Response = d
		}
	}
	if v := m["retry_back_off_floor"]; v != "" {
		if u.floor, err = time.ParseDuration(v); err != nil || u.floor < 0 || u.floor > maxSpan {
			return invalid("weft.retry_back_off_floor %q", v)
		}
	}
	if v := m["response_classes"]; v != "" {
		if u.ask().Classes, err = classes(v); err != nil {
			return at("weft.response_classes", err)
		}
	}
	return u.decodeBudget(m)
}

func (u *rule) decodeBudget(m map[string]string) (err error) {
	if m["retry_budget_ratio"] == "" {
		return nil
	}
	if u.budget.ratio, err = strconv.ParseFloat(m["retry_budget_ratio"], 64); err != nil || !(u.budget.ratio >= 0 && u.budget.ratio <= 1000) {
		return invalid("weft.retry_budget_ratio %q", m["retry_budget_ratio"])
	}
	n, err := strconv.ParseUint(cmp.Or(m["retry_budget_min_per_second"], "0"), 10, 31)
	if err != nil {
		return invalid("weft.retry_budget_min_per_second %q", m["retry_budget_min_per_second"])
	}
	u.budget.min = uint32(n)
	if u.budget.ttl, err = time.ParseDuration(m["retry_budget_ttl"]); err != nil || u.budget.ttl < time.Second || u.budget.ttl > time.Hour {
		return invalid("weft.retry_budget_ttl %q: want 1s to 1h", m["retry_budget_ttl"])
	}
	return nil
}

// maxClasses bounds what a response is compared with: more than one a status
// says nothing new.
const maxClasses = 600

// classes reads what is written as 500-599:fail,404-404:ok.
func classes(s string) (out []route.Class, err error) {
	for _, part := range strings.Split(s, ",") {
		span, verdict, _ := strings.Cut(part, ":")
		lo, hi, _ := strings.Cut(span, "-")
		from, err1 := strconv.ParseUint(lo, 10, 16)
		to, err2 := strconv.ParseUint(hi, 10, 16)
		if err1 != nil || err2 != nil || from < 100 || to > 999 || from > to || verdict != "ok" && verdict != "fail" {
			return nil, invalid("%q: want such as 500-599:fail", part)
		}
		if len(out) == maxClasses {
			return nil, invalid("more than %d", maxClasses)
		}
		out = append(out, route.Class{Min: uint16(from), Max: uint16(to), Failure: verdict == "fail"})
	}
	return out, nil
}
