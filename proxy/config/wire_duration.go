package config

import (
	"time"
)

// decodeSpan reads a google.protobuf.Duration of zero or more.
func decodeSpan(b []byte) (time.Duration, error) {
	var sec, nano int64
	err := eachField(b, func(f field) error {
		switch f.num {
		case 1:
			sec = int64(f.u)
		case 2:
			nano = int64(f.u)
		}
		return nil
	})
	if err == nil && (sec < 0 || nano < 0 || nano >= 1e9 || sec > int64(maxSpan/time.Second)) {
		err = invalid("a duration of %d s and %d ns", sec, nano)
	}
	return time.Duration(sec)*time.Second + time.Duration(nano), err
}

// maxSpan keeps arithmetic with durations from overflowing: a century.
const maxSpan = 100 * 366 * 24 * time.Hour

// decodeDuration reads a google.protobuf.Duration that is above zero.
func decodeDuration(b []byte) (time.Duration, error) {
	d, err := decodeSpan(b)
	if err == nil && d == 0 {
		err = invalid("a duration of 0")
	}
	return d, err
}
