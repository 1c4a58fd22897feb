package route

// Class says of a range of statuses, both ends included, whether they are
// failures.
type Class struct {
	Min, Max uint16
	Failure  bool
}

// Verdict is what a rule says of a response.
type Verdict uint8

const (
	// Unsaid leaves it to the usual rules: 5xx and gRPC's errors are failures.
	Unsaid Verdict = iota
	// Success is one, whatever its status.
	Success
	// Failure is one, whatever its status.
	Failure
)

// Judge says what the first class that holds makes of a status. A nil traffic
// says nothing.
func (t *Traffic) Judge(status int) Verdict {
	if t == nil {
		return Unsaid
	}
	for _, c := range t.Classes {
		if status >= int(c.Min) && status <= int(c.Max) {
			if c.Failure {
				return Failure
			}
			return Success
		}
	}
	return Unsaid
}
