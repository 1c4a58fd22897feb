package config

import (
	"math"

	"github.com/weftmesh/weft/proxy/balance"
	"github.com/weftmesh/weft/proxy/upstream"
)

// Values of Cluster.LbPolicy.
const (
	policyRoundRobin   = 0
	policyLeastRequest = 1
	policyRingHash     = 2
	policyRandom       = 3
	policyMaglev       = 5
	policyProvided     = 6
)

// lbConfigs are the configurations of the policies; just one of them is used.
type lbConfigs struct {
	choices, hashFunction  uint32
	bias                   float64
	minRing, maxRing       uint64
	table                  uint64
	leastStart, robinStart balance.SlowStart
}

func defaultLB() lbConfigs {
	return lbConfigs{choices: 2, bias: 1, minRing: balance.DefaultMinRing, maxRing: balance.DefaultMaxRing, table: balance.DefaultTableSize}
}

// decodeLB reads the fields of a cluster that say how to balance.
func (c *clusterParts) decodeLB(f field) error {
	switch f.num {
	case 23:
		return f.in("ring_hash_lb_config", c.lb.decodeRing)
	case 27:
		return f.in("common_lb_config", c.decodeCommon)
	case 34:
		return f.in("original_dst_lb_config", func(b []byte) error {
			return eachField(b, func(f field) error {
				return unsupported("another destination than the original one (field %d)", f.num)
			})
		})
	case 37:
		return f.in("least_request_lb_config", c.lb.decodeLeast)
	case 52:
		return f.in("maglev_lb_config", func(b []byte) error {
			return eachField(b, func(f field) error {
				if f.num == 1 {
					return at("table_size", f.wrappedUint64(&c.lb.table))
				}
				return nil
			})
		})
	case 56:
		return f.in("round_robin_lb_config", func(b []byte) error {
			return eachField(b, func(f field) error {
				if f.num == 1 {
					return f.in("slow_start_config", func(b []byte) error { return decodeSlowStart(b, &c.lb.robinStart) })
				}
				return unsupported("field %d", f.num)
			})
		})
	}
	return nil
}

func (l *lbConfigs) decodeRing(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return at("minimum_ring_size", f.wrappedUint64(&l.minRing))
		case 3:
			return f.uint32(&l.hashFunction)
		case 4:
			return at("maximum_ring_size", f.wrappedUint64(&l.maxRing))
		}
		return nil
	})
}

func (l *lbConfigs) decodeLeast(b []byte) error {
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return at("choice_count", f.wrappedUint32(&l.choices))
		case 2:
			return f.in("active_request_bias", func(b []byte) error { return decodeDouble(b, &l.bias) })
		case 3:
			return f.in("slow_start_config", func(b []byte) error { return decodeSlowStart(b, &l.leastStart) })
		}
		return unsupported("field %d", f.num)
	})
}

// decodeDouble reads the default of a RuntimeDouble, or a Percent.
func decodeDouble(b []byte, to *float64) error {
	*to = 0
	return eachField(b, func(f field) error {
		if f.num == 1 {
			return f.double(to)
		}
		return nil
	})
}

func decodePercent(b []byte, to *float64) error {
	err := decodeDouble(b, to)
	if err == nil && !(*to >= 0 && *to <= 100) {
		err = invalid("%v %%", *to)
	}
	return err
}

func decodeSlowStart(b []byte, s *balance.SlowStart) error {
	*s = balance.SlowStart{Aggression: 1, MinPercent: 10}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.duration("slow_start_window", &s.Window)
		case 2:
			return f.in("aggression", func(b []byte) error {
				if err := decodeDouble(b, &s.Aggression); err != nil {
					return err
				}
				if !(s.Aggression > 0) || math.IsInf(s.Aggression, 0) {
					return invalid("%v", s.Aggression)
				}
				return nil
			})
		case 3:
			return f.in("min_weight_percent", func(b []byte) error { return decodePercent(b, &s.MinPercent) })
		}
		return nil
	})
	if err == nil && s.Window == 0 {
		err = invalid("slow_start_window is missing")
	}
	return err
}

// decodeCommon reads CommonLbConfig.
func (c *clusterParts) decodeCommon(b []byte) error {
	o := &c.spec.Balance
	return eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.in("healthy_panic_threshold", func(b []byte) error { return decodePercent(b, &c.panic) })
		case 2:
			o.ZonePercent, o.MinZoneSize = 100, 6
			return f.in("zone_aware_lb_config", func(b []byte) error {
				return eachField(b, func(f field) error {
					switch f.num {
					case 1:
						return f.in("routing_enabled", func(b []byte) error { return decodePercent(b, &o.ZonePercent) })
					case 2:
						return at("min_cluster_size", f.wrappedUint64(&o.MinZoneSize))
					case 3:
						if f.u == 0 {
							return nil
						}
					}
					return unsupported("zone_aware_lb_config: field %d", f.num)
				})
			})
		case 3:
			o.LocalityWeighted = true
		case 7:
			return f.in("consistent_hashing_lb_config", func(b []byte) error {
				return eachField(b, func(f field) error {
					if f.num == 1 && f.u == 0 {
						return nil
					}
					return unsupported("field %d", f.num)
				})
			})
		}
		return nil
	})
}

// settleBalance makes the algorithm of the policy and its configuration.
func (c *clusterParts) settleBalance() error {
	o, l := &c.spec.Balance, &c.lb
	o.PanicPercent = 50
	switch {
	case c.panic >= 0:
		o.PanicPercent = c.panic
	case c.spec.Detection.Accrual.MaxFailures > 0:
		o.PanicPercent = 0
	}
	o.Zone = locality(c.meta["locality"])
	switch c.policy {
	case policyRoundRobin:
		o.Algorithm, o.SlowStart = balance.RoundRobin, l.robinStart
	case policyLeastRequest:
		o.Algorithm, o.SlowStart = balance.LeastRequest, l.leastStart
		if l.choices < 2 {
			return invalid("least_request_lb_config: choice_count %d", l.choices)
		}
		if !(l.bias >= 0) || math.IsInf(l.bias, 0) {
			return invalid("least_request_lb_config: active_request_bias %v", l.bias)
		}
		o.ChoiceCount, o.ActiveRequestBias = l.choices, l.bias
	case policyRandom:
		o.Algorithm = balance.RandomChoice
	case policyRingHash:
		if l.hashFunction != 0 {
			return unsupported("ring_hash_lb_config: hash_function %d; XX_HASH (0) is", l.hashFunction)
		}
		if l.maxRing > balance.DefaultMaxRing || l.minRing > l.maxRing || l.maxRing == 0 {
			return invalid("ring_hash_lb_config: minimum_ring_size %d and maximum_ring_size %d, of at most %d", l.minRing, l.maxRing, balance.DefaultMaxRing)
		}
		o.Algorithm, o.MinRing, o.MaxRing = balance.RingHash, l.minRing, l.maxRing
	case policyMaglev:
		if l.table > balance.MaxTableSize || !balance.Prime(l.table) {
			return invalid("maglev_lb_config: table_size %d is no prime of at most %d", l.table, balance.MaxTableSize)
		}
		o.Algorithm, o.TableSize = balance.Maglev, l.table
	case policyProvided:
		if c.spec.Kind != upstream.OriginalDestination {
			return invalid("lb_policy CLUSTER_PROVIDED for a cluster that is not ORIGINAL_DST")
		}
	default:
		return unsupported("lb_policy %d", c.policy)
	}
	switch name := c.meta["balance"]; {
	case name == "":
	case name == balance.PeakEWMA.String() && c.policy == policyLeastRequest:
		o.Algorithm, o.ChoiceCount, o.ActiveRequestBias = balance.PeakEWMA, 0, 0
	case name == balance.PeakEWMA.String():
		return invalid("metadata: weft.balance %s with lb_policy %d", name, c.policy)
	default:
		return invalid("metadata: weft.balance: %q", name)
	}
	return nil
}
