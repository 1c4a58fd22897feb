package linkerd

import (
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

// The statuses of HTTP.
const (
	minStatus = 100
	maxStatus = 599
)

// holds says whether a condition holds for a status.
func holds(m *linkerdapi.ResponseMatch, status int32) bool {
	if m.Status != nil {
		if lo, hi := m.Status.Bounds(); status < lo || status > hi {
			return false
		}
	}
	for _, x := range m.All {
		if !holds(x, status) {
			return false
		}
	}
	if len(m.Any) > 0 {
		any := false
		for _, x := range m.Any {
			any = any || holds(x, status)
		}
		if !any {
			return false
		}
	}
	return m.Not == nil || !holds(m.Not, status)
}

// classes writes each condition as ranges of statuses.
func classes(list []linkerdapi.ResponseClass, o mesh.Origin) []mesh.ResponseClass {
	var out []mesh.ResponseClass
	for i := range list {
		c := mesh.ResponseClass{Failure: list[i].IsFailure, Origin: o}
		for s := int32(minStatus); s <= maxStatus; s++ {
			if !holds(list[i].Condition, s) {
				continue
			}
			if n := len(c.Statuses); n > 0 && c.Statuses[n-1].Max == uint32(s)-1 {
				c.Statuses[n-1].Max++
			} else {
				c.Statuses = append(c.Statuses, mesh.StatusRange{Min: uint32(s), Max: uint32(s)})
			}
		}
		if len(c.Statuses) > 0 {
			out = append(out, c)
		}
	}
	return out
}

// failures are the outcomes that are retried: the responses that the classes,
// or else Linkerd's rules, call failures, and requests without a response. Of
// gRPC's statuses, those that do not tell that another try would fail too.
func failures(list []linkerdapi.ResponseClass) (on []mesh.RetryCondition, statuses []uint32) {
	server, grpc := 0, true
	for s := int32(minStatus); s <= maxStatus; s++ {
		failure, said := s >= 500, false
		for i := range list {
			if holds(list[i].Condition, s) {
				failure, said = list[i].IsFailure, true
				break
			}
		}
		if s == 200 && said {
			grpc = false // its responses are of this status, whatever gRPC's own
		}
		if failure {
			statuses = append(statuses, uint32(s))
			if s >= 500 {
				server++
			}
		}
	}
	if server == maxStatus-500+1 {
		on, statuses = append(on, mesh.On5xx), statuses[:len(statuses)-server]
	} else {
		on = append(on, mesh.OnReset)
	}
	if len(statuses) > 0 {
		on = append(on, mesh.OnRetriableStatusCodes)
	} else {
		statuses = nil
	}
	on = append(on, mesh.OnConnectFailure, mesh.OnRefusedStream)
	if grpc {
		on = append(on, mesh.OnDeadlineExceeded, mesh.OnInternal, mesh.OnUnavailable)
	}
	return on, statuses
}
