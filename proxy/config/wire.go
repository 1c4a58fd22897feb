package config

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Errors of decoding; errors.Is finds them under the detail.
var (
	// ErrMalformed means that bytes are not a protobuf message, or that a field
	// has the wrong type.
	ErrMalformed = errors.New("malformed message")
	// ErrUnsupported means that a resource asks for what this proxy cannot do.
	ErrUnsupported = errors.New("not supported")
	// ErrInvalid means that a resource contradicts itself or lacks something.
	ErrInvalid = errors.New("invalid")
)

// field is one field of a message: a number for varint and fixed types, bytes
// for the rest. Bytes are views of the message.
type field struct {
	num protowire.Number
	typ protowire.Type
	u   uint64
	b   []byte
}

// eachField calls f for every field of a message in the order of its bytes.
// The work is bounded by the length of b; messages inside are the callee's.
func eachField(b []byte, f func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
		}
		b = b[n:]
		v := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			v.u, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var u uint32
			u, n = protowire.ConsumeFixed32(b)
			v.u = uint64(u)
		case protowire.Fixed64Type:
			v.u, n = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			v.b, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return fmt.Errorf("%w: field %d: %w", ErrMalformed, num, protowire.ParseError(n))
		}
		b = b[n:]
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func (f field) wrong() error {
	return fmt.Errorf("%w: field %d has wire type %d", ErrMalformed, f.num, f.typ)
}

// msg is the bytes of a message, a string or bytes.
func (f field) msg() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, f.wrong()
	}
	return f.b, nil
}

func (f field) str(to *string) error {
	if f.typ != protowire.BytesType {
		return f.wrong()
	}
	*to = string(f.b)
	return nil
}

func (f field) uint32(to *uint32) error {
	if f.typ != protowire.VarintType {
		return f.wrong()
	}
	*to = uint32(f.u)
	return nil
}

func (f field) bool(to *bool) error {
	if f.typ != protowire.VarintType {
		return f.wrong()
	}
	*to = f.u != 0
	return nil
}

// packed reads a repeated varint, packed or not.
func (f field) packed(each func(uint64)) error {
	switch f.typ {
	case protowire.VarintType:
		each(f.u)
		return nil
	case protowire.BytesType:
		for b := f.b; len(b) > 0; {
			u, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(n))
			}
			each(u)
			b = b[n:]
		}
		return nil
	}
	return f.wrong()
}

// in decodes a message inside, and names it in the error.
func (f field) in(name string, decode func([]byte) error) error {
	if f.typ != protowire.BytesType {
		return at(name, f.wrong())
	}
	return at(name, decode(f.b))
}

// at puts the name of a field before an error.
func at(name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func unsupported(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsupported, fmt.Sprintf(format, a...))
}

func invalid(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, a...))
}

// wrapped reads google.protobuf.{UInt32,Bool,String}Value: a message with
// field 1. An absent field is the zero value.
func wrapped(b []byte) (field, error) {
	var v field
	err := eachField(b, func(f field) error {
		if f.num == 1 {
			v = f
		}
		return nil
	})
	return v, err
}

func (f field) wrappedUint32(to *uint32) error {
	if f.typ != protowire.BytesType {
		return f.wrong()
	}
	v, err := wrapped(f.b)
	if err == nil {
		*to = uint32(v.u)
	}
	return err
}

func (f field) wrappedBool(to *bool) error {
	if f.typ != protowire.BytesType {
		return f.wrong()
	}
	v, err := wrapped(f.b)
	if err == nil {
		*to = v.u != 0
	}
	return err
}

// anyMessage is google.protobuf.Any. The URL's host is of no meaning.
type anyMessage struct {
	url   string
	value []byte
}

func decodeAny(b []byte) (a anyMessage, err error) {
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&a.url)
		case 2:
			a.value, err = f.msg()
			return err
		}
		return nil
	})
	return a, err
}

const typePrefix = "type.googleapis.com/"

// weftMetadata reads the string values of filter_metadata["weft"] of an
// envoy.config.core.v3.Metadata, and tlsMode of
// filter_metadata["envoy.transport_socket_match"].
func weftMetadata(b []byte) (weft map[string]string, tlsMode string, err error) {
	err = eachField(b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		return f.in("filter_metadata", func(b []byte) error {
			key, val, err := mapEntry(b)
			if err != nil {
				return err
			}
			switch key {
			case "weft":
				weft, err = stringStruct(val)
			case "envoy.transport_socket_match":
				var m map[string]string
				m, err = stringStruct(val)
				tlsMode = m["tlsMode"]
			}
			return at(key, err)
		})
	})
	return weft, tlsMode, err
}

// mapEntry reads an entry of a map with string keys and message values.
func mapEntry(b []byte) (key string, value []byte, err error) {
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&key)
		case 2:
			value, err = f.msg()
			return err
		}
		return nil
	})
	return key, value, err
}

// stringStruct reads the strings of a google.protobuf.Struct; other values are
// skipped.
func stringStruct(b []byte) (map[string]string, error) {
	m := map[string]string{}
	err := eachField(b, func(f field) error {
		if f.num != 1 {
			return nil
		}
		return f.in("fields", func(b []byte) error {
			key, val, err := mapEntry(b)
			if err != nil {
				return err
			}
			return eachField(val, func(f field) error {
				if f.num == 3 && f.typ == protowire.BytesType {
					m[key] = string(f.b)
				}
				return nil
			})
		})
	})
	return m, err
}
