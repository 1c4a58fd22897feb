package forward

import (
	"math/rand/v2"

	"github.com/weftmesh/weft/proxy/grpcwire"
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
	grpcwire.OK:                 200,
	grpcwire.Canceled:           499,
	grpcwire.Unknown:            500,
	grpcwire.InvalidArgument:    400,
	grpcwire.DeadlineExceeded:   504,
	grpcwire.NotFound:           404,
	grpcwire.AlreadyExists:      409,
	grpcwire.PermissionDenied:   403,
	grpcwire.ResourceExhausted:  429,
	grpcwire.FailedPrecondition: 400,
	grpcwire.Aborted:            409,
	grpcwire.OutOfRange:         400,
	grpcwire.Unimplemented:      501,
	grpcwire.Internal:           500,
	grpcwire.Unavailable:        503,
	grpcwire.DataLoss:           500,
	grpcwire.Unauthenticated:    401,
}

func httpStatus(grpc int) int {
	if grpc < 0 || grpc >= len(httpStatuses) {
		return 500
	}
	return httpStatuses[grpc]
}
