package linkerdapi

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	sigsjson "sigs.k8s.io/json"

	"github.com/weftmesh/weft/internal/apifield"
)

// Errors of Decode; errors.Is finds them under a FieldError.
var (
	// ErrKind means that kind or apiVersion is none that can be read.
	ErrKind = errors.New("not an object of Linkerd that can be read")
	// ErrJSON means that the document is not JSON of the right shape.
	ErrJSON = errors.New("cannot be decoded")
	// ErrValue means that a field has a value that it cannot have.
	ErrValue = errors.New("bad value")
	// ErrMissing means that a required field is missing.
	ErrMissing = errors.New("required field is missing")
)

// FieldError says which field is wrong.
type FieldError = apifield.Error

// Bounds of values.
const (
	// maxDepth of conditions within each other.
	maxDepth = 16
	// maxMilliWeight keeps the sum of weights within 32 bits.
	maxMilliWeight = 1_000_000_000
	// maxRatio of a retry budget, as in Linkerd's proxy.
	maxRatio = 1000
	minTTL   = time.Second
	maxTTL   = time.Hour
)

// Decode reads an object of any kind and version from JSON. Unknown fields are
// returned for themselves; all else that is wrong is returned as FieldErrors
// joined by errors.Join.
func Decode(doc []byte) (obj metav1.Object, unknown []error, err error) {
	var head metav1.TypeMeta
	if err := sigsjson.UnmarshalCaseSensitivePreserveInts(doc, &head); err != nil {
		return nil, nil, &FieldError{Field: "", Err: fmt.Errorf("%w: %w", ErrJSON, err)}
	}
	group, version, _ := strings.Cut(head.APIVersion, "/")
	var check func(*checker)
	var known []string
	switch {
	case group == Group && head.Kind == "ServiceProfile":
		p := &ServiceProfile{}
		obj, known, check = p, ProfileVersions, func(c *checker) { c.profile(&p.Spec) }
	case group == PolicyGroup && head.Kind == "Server":
		s := &Server{}
		obj, known, check = s, ServerVersions, func(c *checker) { c.server(&s.Spec) }
	case group == PolicyGroup && head.Kind == "HTTPRoute":
		obj, known, check = &HTTPRoute{}, HTTPRouteVersions, func(*checker) {}
	}
	if !slices.Contains(known, version) {
		return nil, nil, &FieldError{Field: "apiVersion", Err: fmt.Errorf("%s of %q is %w", head.Kind, head.APIVersion, ErrKind)}
	}
	if unknown, err = sigsjson.UnmarshalStrict(doc, obj); err != nil {
		return nil, nil, &FieldError{Field: "", Err: fmt.Errorf("%w: %w", ErrJSON, err)}
	}
	var c checker
	if check(&c); len(c.errs) > 0 {
		return nil, unknown, errors.Join(c.errs...)
	}
	return obj, unknown, nil
}

// checker gathers what is wrong with values.
type checker struct{ errs []error }

func (c *checker) bad(field, format string, args ...any) {
	c.errs = append(c.errs, &FieldError{Field: field, Err: fmt.Errorf("%w: %s", ErrValue, fmt.Sprintf(format, args...))})
}

func (c *checker) missing(field string) {
	c.errs = append(c.errs, &FieldError{Field: field, Err: ErrMissing})
}

func (c *checker) profile(s *ProfileSpec) {
	for i := range s.Routes {
		r, at := &s.Routes[i], fmt.Sprintf("spec.routes[%d]", i)
		if r.Name == "" {
			c.missing(at + ".name")
		}
		c.request(r.Condition, at+".condition", 0)
		for j := range r.ResponseClasses {
			c.response(r.ResponseClasses[j].Condition, fmt.Sprintf("%s.responseClasses[%d].condition", at, j), 0)
		}
		if r.Timeout != "" {
			c.duration(r.Timeout, at+".timeout")
		}
		if r.Retries != nil && r.Retries.MaxRetries != nil && *r.Retries.MaxRetries < 0 {
			c.bad(at+".retries.maxRetries", "%d is negative", *r.Retries.MaxRetries)
		}
	}
	if b := s.RetryBudget; b != nil {
		if !(b.RetryRatio >= 0 && b.RetryRatio <= maxRatio) {
			c.bad("spec.retryBudget.retryRatio", "%g is not between 0 and %d", b.RetryRatio, maxRatio)
		}
		if b.MinRetriesPerSecond < 0 || b.MinRetriesPerSecond > 1<<31-1 {
			c.bad("spec.retryBudget.minRetriesPerSecond", "%d is negative or too large", b.MinRetriesPerSecond)
		}
		if b.TTL == "" {
			c.missing("spec.retryBudget.ttl")
		} else if ttl := c.duration(b.TTL, "spec.retryBudget.ttl"); ttl >= 0 && (ttl < minTTL || ttl > maxTTL) {
			c.bad("spec.retryBudget.ttl", "%q is not between %s and %s", b.TTL, minTTL, maxTTL)
		}
	}
	for i := range s.DstOverrides {
		c.override(&s.DstOverrides[i], fmt.Sprintf("spec.dstOverrides[%d]", i))
	}
	for i, p := range s.OpaquePorts {
		if !portOrRange(p) {
			c.bad(fmt.Sprintf("spec.opaquePorts[%d]", i), "%q is no port and no range of ports", p)
		}
	}
}

// duration returns -1 for one that cannot be used.
func (c *checker) duration(s, field string) time.Duration {
	switch d, err := time.ParseDuration(s); {
	case err != nil:
		c.bad(field, "%q is no duration such as 300ms or 30s", s)
	case d < 0:
		c.bad(field, "%q is negative", s)
	default:
		return d
	}
	return -1
}

func (c *checker) request(m *RequestMatch, field string, depth int) {
	switch {
	case m == nil:
		c.missing(field)
		return
	case depth == maxDepth:
		c.bad(field, "conditions are nested more than %d deep", maxDepth)
		return
	case len(m.All)+len(m.Any) == 0 && m.Not == nil && m.PathRegex == "" && m.Method == "":
		c.bad(field, "the condition says nothing")
	}
	if m.PathRegex != "" {
		if err := apifield.Expression(m.PathRegex); err != nil {
			c.bad(field+".pathRegex", "%.100q is not a regular expression: %s", m.PathRegex, err)
		}
	}
	if m.Method != "" && !apifield.Token(m.Method) {
		c.bad(field+".method", "%q is not a method", m.Method)
	}
	for i, x := range m.All {
		c.request(x, fmt.Sprintf("%s.all[%d]", field, i), depth+1)
	}
	for i, x := range m.Any {
		c.request(x, fmt.Sprintf("%s.any[%d]", field, i), depth+1)
	}
	if m.Not != nil {
		c.request(m.Not, field+".not", depth+1)
	}
}

func (c *checker) response(m *ResponseMatch, field string, depth int) {
	switch {
	case m == nil:
		c.missing(field)
		return
	case depth == maxDepth:
		c.bad(field, "conditions are nested more than %d deep", maxDepth)
		return
	case len(m.All)+len(m.Any) == 0 && m.Not == nil && m.Status == nil:
		c.bad(field, "the condition says nothing")
	}
	if s := m.Status; s != nil {
		lo, hi := s.Bounds()
		if lo < 100 || hi > 599 || lo > hi {
			c.bad(field+".status", "%d to %d is no range of statuses between 100 and 599", lo, hi)
		}
	}
	for i, x := range m.All {
		c.response(x, fmt.Sprintf("%s.all[%d]", field, i), depth+1)
	}
	for i, x := range m.Any {
		c.response(x, fmt.Sprintf("%s.any[%d]", field, i), depth+1)
	}
	if m.Not != nil {
		c.response(m.Not, field+".not", depth+1)
	}
}

// Bounds are the ends of the range.
func (r *Range) Bounds() (lo, hi int32) {
	lo, hi = r.Min, r.Max
	if lo == 0 {
		lo = 100
	}
	if hi == 0 {
		hi = 599
	}
	return lo, hi
}

func (c *checker) override(d *WeightedDst, field string) {
	if _, _, err := d.Destination(); err != nil {
		c.bad(field+".authority", "%s", err)
	}
	switch w := d.Weight; {
	case w.Sign() < 0:
		c.bad(field+".weight", "%s is negative", w.String())
	case w.Cmp(*resource.NewMilliQuantity(maxMilliWeight, resource.DecimalSI)) > 0:
		c.bad(field+".weight", "%s is above %d", w.String(), maxMilliWeight/1000)
	}
}

// Destination returns the DNS name and the port; 0 where none is said.
func (d *WeightedDst) Destination() (host string, port uint16, err error) {
	host = d.Authority
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("%q has no port between 1 and 65535", d.Authority)
		}
		host, port = h, uint16(n)
	}
	if host == "" || strings.ContainsAny(host, ":/ ") {
		return "", 0, fmt.Errorf("%q is no DNS name such as api.production.svc.cluster.local:80", d.Authority)
	}
	return strings.TrimSuffix(host, "."), port, nil
}

func (c *checker) server(s *ServerSpec) {
	if (s.PodSelector == nil) == (s.ExternalWorkloadSelector == nil) {
		c.bad("spec", "one of podSelector and externalWorkloadSelector must be given")
	}
	if s.PodSelector != nil {
		if _, err := metav1.LabelSelectorAsSelector(s.PodSelector); err != nil {
			c.bad("spec.podSelector", "%s", err)
		}
	}
	if n := s.Port.IntValue(); s.Port.Type == 0 && (n < 1 || n > 65535) || s.Port.Type != 0 && s.Port.StrVal == "" {
		c.bad("spec.port", "%q is no port", s.Port.String())
	}
	if !slices.Contains(Protocols, s.ProxyProtocol) {
		c.bad("spec.proxyProtocol", "%q is none of unknown, HTTP/1, HTTP/2, gRPC, opaque, TLS", s.ProxyProtocol)
	}
}

// Protocols are the values of Server's proxyProtocol.
var Protocols = []string{"", "unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS"}

// portOrRange reads 3306 or 4000-4010.
func portOrRange(s string) bool {
	from, to, ranged := strings.Cut(s, "-")
	a, err := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	b := a
	if err == nil && ranged {
		b, err = strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	}
	return err == nil && a > 0 && a <= b
}
