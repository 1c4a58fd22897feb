package mesh

// Fault is a failure that is made on purpose (VirtualService fault). The delay
// comes before the abort; each is decided for itself.
type Fault struct {
	Delay  *FaultDelay `json:"delay,omitempty"`
	Abort  *FaultAbort `json:"abort,omitempty"`
	Origin Origin      `json:"origin"`
}

// FaultDelay holds a request back before it is sent.
type FaultDelay struct {
	Fixed Duration `json:"fixed"`
	// Millionths of the requests that are held back; 1,000,000 is all.
	Millionths uint32 `json:"millionths"`
}

// FaultAbort answers a request instead of sending it.
type FaultAbort struct {
	// HTTP is the status; 0 where GRPC is meant.
	HTTP uint32 `json:"http,omitempty"`
	// GRPC is the gRPC status; nil where HTTP is meant.
	GRPC *uint32 `json:"grpc,omitempty"`
	// Millionths of the requests that are answered; 1,000,000 is all.
	Millionths uint32 `json:"millionths"`
}
