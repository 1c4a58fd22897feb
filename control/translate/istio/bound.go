package istio

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// bound is which of two values of a limit keeps both promises.
type bound int

const (
	least bound = iota + 1
	greatest
)

// bounds are the fields of a traffic policy that promise a limit: "no more than",
// or "no less than". Two objects that give different limits do not contradict
// each other, since the tighter one keeps both.
var bounds = map[string]bound{
	"TCPSettings.max_connections":                        least,
	"TCPSettings.connect_timeout":                        least,
	"TCPSettings.max_connection_duration":                least,
	"TCPSettings.idle_timeout":                           least,
	"HTTPSettings.http1_max_pending_requests":            least,
	"HTTPSettings.http2_max_requests":                    least,
	"HTTPSettings.max_requests_per_connection":           least,
	"HTTPSettings.max_retries":                           least,
	"HTTPSettings.idle_timeout":                          least,
	"HTTPSettings.max_concurrent_streams":                least,
	"OutlierDetection.consecutive_errors":                least,
	"OutlierDetection.consecutive_local_origin_failures": least,
	"OutlierDetection.consecutive_gateway_errors":        least,
	"OutlierDetection.consecutive_5xx_errors":            least,
	"OutlierDetection.interval":                          least,
	"OutlierDetection.base_ejection_time":                greatest,
	"OutlierDetection.max_ejection_percent":              least,
	"OutlierDetection.min_health_percent":                greatest,
}

// tighter says whether b is a limit that keeps what a promises too; ok is false
// for fields that are no limits, and where one of the values is 0, which says
// that there is none.
func tighter(fd protoreflect.FieldDescriptor, a, b protoreflect.Value) (yes, ok bool) {
	x, y := quantity(fd, a), quantity(fd, b)
	if x <= 0 || y <= 0 {
		return false, false
	}
	switch bounds[string(fd.ContainingMessage().Name())+"."+string(fd.Name())] {
	case least:
		return y < x, true
	case greatest:
		return y > x, true
	}
	return false, false
}

// quantity is a number, or a duration in nanoseconds; -1 for all else.
func quantity(fd protoreflect.FieldDescriptor, v protoreflect.Value) int64 {
	switch fd.Kind() {
	case protoreflect.Int32Kind:
		return v.Int()
	case protoreflect.MessageKind:
		m, fields := v.Message(), fd.Message().Fields()
		switch fd.Message().FullName() {
		case "google.protobuf.UInt32Value":
			return int64(m.Get(fields.ByName("value")).Uint())
		case "google.protobuf.Duration":
			return m.Get(fields.ByName("seconds")).Int()*1e9 + m.Get(fields.ByName("nanos")).Int()
		}
	}
	return -1
}
