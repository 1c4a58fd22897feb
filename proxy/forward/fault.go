package forward

import (
	"math/rand/v2"

	"github.com/weftmesh/weft/proxy/route"
)

// fault decides which faults are injected into the request: a delay is noted,
// an answer returned.
func (x *Exchange) fault(t *route.Traffic) *Failure {
	if t.Delay != nil && t.Delay.Share.Draws(rand.Uint64()) {
		x.extra.delay = t.Delay.For
	}
	if t.Abort == nil || !t.Abort.Share.Draws(rand.Uint64()) {
		return nil
	}
	f := &Failure{Status: t.Abort.Status, Reason: ReasonFault, Detail: "fault filter abort"}
	if f.Status == 0 {
		f.Status, f.GRPC = httpStatus(t.Abort.GRPC), t.Abort.GRPC
	}
	return x.failure(f)
}

// httpStatuses are what a client that does not speak gRPC is told for a gRPC
// status, by its code (google.rpc.Code).
var httpStatuses = [...]int{
	0:  200, // ok
	1:  499, // cancelled
	2:  500, // unknown
	3:  400, // invalid argument
	4:  504, // deadline exceeded
	5:  404, // not found
	6:  409, // already exists
	7:  403, // permission denied
	8:  429, // resource exhausted
	9:  400, // failed precondition
	10: 409, // aborted
	11: 400, // out of range
	12: 501, // unimplemented
	13: 500, // internal
	14: 503, // unavailable
	15: 500, // data loss
	16: 401, // unauthenticated
}

func httpStatus(grpc int) int {
	if grpc < 0 || grpc >= len(httpStatuses) {
		return 500
	}
	return httpStatuses[grpc]
}
