package annotation

import (
	"reflect"
	"testing"
	"time"

	"github.com/weftmesh/weft/mesh"
)

func TestPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		in       map[string]string
		attempts uint32
		on       []mesh.RetryCondition
		statuses []uint32
		problems int
	}{
		"none":        {in: map[string]string{"other": "x"}},
		"kinds":       {in: map[string]string{RetryHTTP: "5xx, gateway-error"}, attempts: 1, on: []mesh.RetryCondition{mesh.On5xx, mesh.OnGatewayError, mesh.OnConnectFailure, mesh.OnRefusedStream}},
		"statuses":    {in: map[string]string{RetryHTTP: "429,500-502", RetryLimit: "0"}, on: []mesh.RetryCondition{mesh.OnRetriableStatusCodes, mesh.OnConnectFailure, mesh.OnRefusedStream}, statuses: []uint32{429, 500, 501, 502}},
		"gRPC":        {in: map[string]string{RetryGRPC: "Internal,unavailable,internal"}, attempts: 1, on: []mesh.RetryCondition{mesh.OnInternal, mesh.OnUnavailable, mesh.OnConnectFailure, mesh.OnRefusedStream}},
		"nothing":     {in: map[string]string{RetryHTTP: "nonsense,99,502-500"}, problems: 3},
		"limit alone": {in: map[string]string{RetryLimit: "1", RetryTimeout: "1s"}, problems: 2},
		"too many":    {in: map[string]string{RetryHTTP: "5xx", RetryLimit: "1000"}, attempts: 1, on: []mesh.RetryCondition{mesh.On5xx, mesh.OnConnectFailure, mesh.OnRefusedStream}, problems: 1},
	} {
		p, said, problems := Policy(c.in, mesh.Origin{})
		if len(problems) != c.problems || said != (c.on != nil) {
			t.Errorf("%s: said %v, %v", name, said, problems)
		}
		if c.on == nil {
			if p.Retry != nil {
				t.Errorf("%s: %+v", name, p.Retry)
			}
			continue
		}
		if p.Retry.Attempts != c.attempts || !reflect.DeepEqual(p.Retry.On, c.on) || !reflect.DeepEqual(p.Retry.Statuses, c.statuses) {
			t.Errorf("%s: %+v", name, p.Retry)
		}
	}
	p, said, problems := Policy(map[string]string{TimeoutRequest: "0s", TimeoutResponse: "2d", TimeoutIdle: "-1ms", RetryTimeout: "x"}, mesh.Origin{})
	if !said || len(problems) != 2 || p.Timeouts.Request.Std() != 0 || p.Timeouts.Response.Std() != 48*time.Hour || p.Timeouts.Idle != nil {
		t.Errorf("%+v, %v", p.Timeouts, problems)
	}
}

func TestAccrual(t *testing.T) {
	a, problems := Accrual(map[string]string{FailureAccrual: "consecutive"}, mesh.Origin{})
	if len(problems) != 0 || a.MaxFailures != 7 || a.MinPenalty.Std() != time.Second || a.MaxPenalty.Std() != time.Minute || a.Jitter != 0.5 {
		t.Errorf("%+v, %v", a, problems)
	}
	a, _ = Accrual(map[string]string{FailureAccrual: "consecutive", MaxFailures: "2", MinPenalty: "3s", MaxPenalty: "4s", JitterRatio: "0"}, mesh.Origin{})
	if a.MaxFailures != 2 || a.MinPenalty.Std() != 3*time.Second || a.MaxPenalty.Std() != 4*time.Second || a.Jitter != 0 {
		t.Errorf("%+v", a)
	}
	for _, bad := range []map[string]string{{MaxFailures: "0"}, {MaxFailures: "x"}, {JitterRatio: "NaN"}, {JitterRatio: "-1"}, {MinPenalty: "0s"}, {MinPenalty: "2s", MaxPenalty: "1s"}} {
		bad[FailureAccrual] = "consecutive"
		if a, problems := Accrual(bad, mesh.Origin{}); a != nil || len(problems) != 1 {
			t.Errorf("%v: %+v, %v", bad, a, problems)
		}
	}
	if a, problems := Accrual(map[string]string{MaxFailures: "2"}, mesh.Origin{}); a != nil || len(problems) != 1 {
		t.Errorf("%+v, %v", a, problems)
	}
}
