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
