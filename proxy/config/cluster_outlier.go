package config

import (
	"github.com/weftmesh/weft/proxy/balance"
)

// decodeOutlier reads envoy.config.cluster.v3.OutlierDetection.
func decodeOutlier(b []byte) (*balance.Outlier, error) {
	o := balance.DefaultOutlier()
	numbers := map[uint32]struct {
		name string
		to   *uint32
	}{
		1: {"consecutive_5xx", &o.Consecutive5xx}, 7: {"success_rate_minimum_hosts", &o.SuccessRateMinHosts},
		8: {"success_rate_request_volume", &o.SuccessRateVolume}, 9: {"success_rate_stdev_factor", &o.SuccessRateStdevFactor},
		10: {"consecutive_gateway_failure", &o.ConsecutiveGateway}, 13: {"consecutive_local_origin_failure", &o.ConsecutiveLocal},
		19: {"failure_percentage_minimum_hosts", &o.FailurePercentMinHosts}, 20: {"failure_percentage_request_volume", &o.FailurePercentVolume},
	}
	percents := map[uint32]struct {
		name string
		to   *uint32
	}{
		4: {"max_ejection_percent", &o.MaxEjectionPercent}, 5: {"enforcing_consecutive_5xx", &o.Enforce5xx},
		6: {"enforcing_success_rate", &o.EnforceSuccessRate}, 11: {"enforcing_consecutive_gateway_failure", &o.EnforceGateway},
		14: {"enforcing_consecutive_local_origin_failure", &o.EnforceLocal}, 15: {"enforcing_local_origin_success_rate", &o.EnforceLocalSuccessRate},
		16: {"failure_percentage_threshold", &o.FailurePercentThreshold}, 17: {"enforcing_failure_percentage", &o.EnforceFailurePercent},
		18: {"enforcing_failure_percentage_local_origin", &o.EnforceLocalFailurePercent},
	}
	longest := false
	err := eachField(b, func(f field) error {
		if n, ok := numbers[uint32(f.num)]; ok {
			return at(n.name, f.wrappedUint32(n.to))
		}
		if n, ok := percents[uint32(f.num)]; ok {
			err := f.wrappedUint32(n.to)
			if err == nil && *n.to > 100 {
				err = invalid("%d %%", *n.to)
			}
			return at(n.name, err)
		}
		switch f.num {
		case 2:
			return f.duration("interval", &o.Interval)
		case 3:
			return f.duration("base_ejection_time", &o.BaseEjection)
		case 12:
			return f.bool(&o.SplitLocal)
		case 21:
			longest = true
			return f.duration("max_ejection_time", &o.MaxEjection)
		case 22:
			return f.in("max_ejection_time_jitter", func(b []byte) (err error) {
				o.MaxEjectionJitter, err = decodeSpan(b)
				return err
			})
		case 24:
			return unsupported("monitors")
		case 25:
			return at("always_eject_one_host", f.wrappedBool(&o.AlwaysEjectOne))
		case 26:
			var on bool
			err := f.wrappedBool(&on)
			if err == nil && on {
				err = unsupported("true")
			}
			return at("detect_degraded_hosts", err)
		}
		return nil
	})
	if err == nil && longest && o.MaxEjection < o.BaseEjection {
		err = invalid("max_ejection_time %s is below base_ejection_time %s", o.MaxEjection, o.BaseEjection)
	}
	return &o, err
}
