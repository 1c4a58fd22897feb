package mesh

// ResponseClass says which responses are failures, for retries, balancing and
// metrics; the first that holds decides. Where none does, 5xx and gRPC errors
// are failures (ServiceProfile responseClasses).
type ResponseClass struct {
	// Statuses of which one must hold.
	Statuses []StatusRange `json:"statuses"`
	Failure  bool          `json:"failure"`
	Origin   Origin        `json:"-"`
}

// StatusRange is a range of HTTP statuses, both ends included.
type StatusRange struct {
	Min uint32 `json:"min"`
	Max uint32 `json:"max"`
}
