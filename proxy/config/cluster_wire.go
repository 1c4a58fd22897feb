package config

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// duration reads a google.protobuf.Duration that is above zero.
func (f field) duration(name string, to *time.Duration) error {
	return f.in(name, func(b []byte) (err error) {
		*to, err = decodeDuration(b)
		return err
	})
}

func (f field) wrappedUint64(to *uint64) error {
	if f.typ != protowire.BytesType {
		return f.wrong()
	}
	v, err := wrapped(f.b)
	if err == nil {
		*to = v.u
	}
	return err
}

func (f field) double(to *float64) error {
	if f.typ != protowire.Fixed64Type {
		return f.wrong()
	}
	*to = math.Float64frombits(f.u)
	return nil
}

// decodeDuration reads a google.protobuf.Duration that is above zero.
func decodeDuration(b []byte) (time.Duration, error) {
	d, err := decodeAnyDuration(b)
	if err == nil && d == 0 {
		err = invalid("a duration of 0")
	}
	return d, err
}

// decodeAnyDuration reads one that may be zero.
func decodeAnyDuration(b []byte) (time.Duration, error) {
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
	if err != nil {
		return 0, err
	}
	if sec < 0 || nano < 0 || nano >= 1e9 || sec > math.MaxInt64/int64(time.Second)-1 {
		return 0, invalid("a duration of %d s and %d ns", sec, nano)
	}
	return time.Duration(sec)*time.Second + time.Duration(nano), nil
}
