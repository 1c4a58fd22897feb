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

// httpStatus is what a client that does not speak gRPC is told for a gRPC
// status (google.rpc.Code).
func httpStatus(grpc int) int {
	switch grpc {
	case 0:
		return 200
	case 3, 9, 11: // invalid argument, failed precondition, out of range
		return 400
	case 16: // unauthenticated
		return 401
	case 7: // permission denied
		return 403
	case 5: // not found
		return 404
	case 6, 10: // already exists, aborted
		return 409
	case 8: // resource exhausted
		return 429
	case 1: // cancelled
		return 499
	case 12: // unimplemented
		return 501
	case 14: // unavailable
		return 503
	case 4: // deadline exceeded
		return 504
	}
	return 500
}
