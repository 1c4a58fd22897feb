package forward

import (
	"time"

	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/route"
	"github.com/weftmesh/weft/proxy/telemetry"
	"github.com/weftmesh/weft/proxy/upstream"
)

// answered tells the endpoint's record of a response. That of a call whose
// status comes last is told by End.
func (x *Exchange) answered(r *http.Response) {
	code, latency := telemetry.NoGRPC, x.head.Sub(x.sent)
	if v := x.judge(r.Status); v != route.Unsaid {
		x.Endpoint.Answered(x.head, judged(v, r.Status), code, latency)
		return
	}
	if x.grpc {
		if code = grpcStatus(nil, r.Fields); code == telemetry.NoGRPC && r.Status == 200 {
			x.trailing = true
			x.Endpoint.Observe(latency)
			return
		}
	}
	x.Endpoint.Answered(x.head, r.Status, code, latency)
}

// judge is what the rule says of a status.
func (x *Exchange) judge(status int) route.Verdict {
	if x.extra == nil {
		return route.Unsaid
	}
	return x.extra.traffic.Judge(status)
}

// judged is a status that counts as what the rule makes of another.
func judged(v route.Verdict, status int) int {
	switch {
	case v == route.Success:
		return 200
	case status < 500:
		return 500
	}
	return status
}

// broke tells it of a try that got no answer.
func (x *Exchange) broke(late bool) {
	if x.Endpoint == nil {
		return
	}
	cause := upstream.Reset
	if late || x.TimedOut() {
		cause = upstream.TimedOut
	}
	x.Endpoint.Broke(time.Now(), cause)
}

// ended tells it how a call ended whose head was answered already.
func (x *Exchange) ended(o *Outcome, now time.Time) {
	switch {
	case !x.trailing || x.Endpoint == nil || o.Gone:
	case o.Broken || o.Timeout || x.TimedOut():
		x.broke(o.Timeout)
	case o.GRPC != telemetry.NoGRPC:
		x.Endpoint.Answered(now, o.Status, o.GRPC, 0)
	}
}
