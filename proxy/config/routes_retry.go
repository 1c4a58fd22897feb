package config

import (
	"time"

	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
)

// budgetSpec names a retry budget; the zero value means none. Rules of one
// RouteConfiguration with the same values share one.
type budgetSpec struct {
	ratio float64
	min   uint32
	ttl   time.Duration
}

// maxRetries bounds what a configuration can multiply a request by.
const maxRetries = 100

// What may be asked for of another try's endpoint.
const (
	previousHosts      = "envoy.retry_host_predicates.previous_hosts"
	previousPriorities = "envoy.retry_priorities.previous_priorities"
)

// decodeRetry reads a RetryPolicy. One without retry_on leaves the proxy's own
// safe retries, unless num_retries is 0.
func (u *rule) decodeRetry(b []byte) error {
	p := &retry.Policy{Retries: 1}
	var on string
	var once time.Duration
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&on)
		case 2:
			var n uint32
			err := at("num_retries", f.wrappedUint32(&n))
			p.Retries = int(min(n, maxRetries))
			return err
		case 3:
			return f.in("per_try_timeout", func(b []byte) (err error) {
				once, err = decodeSpan(b)
				return err
			})
		case 5:
			return f.in("retry_host_predicate", func(b []byte) error {
				name, _, _, err := decodeNamedAny(b, 3)
				if err == nil && name != previousHosts {
					err = unsupported("%q", name)
				}
				p.AvoidPrevious = true
				return err
			})
		case 4:
			// Another priority is taken where the first has no other endpoint.
			return f.in("retry_priority", func(b []byte) error {
				name, _, _, err := decodeNamedAny(b, 3)
				if err == nil && name != previousPriorities {
					err = unsupported("%q", name)
				}
				p.AvoidPrevious = true
				return err
			})
		case 7:
			return at("retriable_status_codes", f.packed(func(n uint64) {
				if len(p.Statuses) < maxStatuses {
					p.Statuses = append(p.Statuses, uint32(n))
				}
			}))
		case 8:
			return f.in("retry_back_off", func(b []byte) error {
				return eachField(b, func(f field) (err error) {
					switch f.num {
					case 1:
						p.Base, err = decodeSpan(f.b)
					case 2:
						p.Max, err = decodeSpan(f.b)
					}
					return err
				})
			})
		case 9:
			return f.in("retriable_headers", func(b []byte) error {
				v, err := decodeHeaderMatch(b)
				if err != nil {
					return err
				}
				c, err := route.NewHeaderCondition(v)
				p.Headers = append(p.Headers, c)
				return err
			})
		case 10, 11:
			return unsupported("retriable_request_headers and rate_limited_retry_back_off (field %d)", f.num)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var unknown []string
	if p.On, unknown = retry.ParseOn(on); len(unknown) > 0 {
		return unsupported("retry_on %q", unknown)
	}
	if p.Max > 0 && p.Max < p.Base {
		return invalid("retry_back_off: max_interval %s is below base_interval %s", p.Max, p.Base)
	}
	if once > 0 {
		u.ask().TryTimeout = once
	}
	if p.On != 0 || p.Retries == 0 {
		u.ask().Retry = p
	}
	return nil
}

const maxStatuses = 600
