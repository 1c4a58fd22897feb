package trace

import (
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

func bytesField(b []byte, n protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
}

// attributes is the number of Span.attributes.
const attributes = 9

// attribute appends an attribute of a span with a text.
func attribute(b []byte, key, value string) []byte {
	return append(pair(b, attributes, key, len(value)), value...)
}

func attributeBytes(b []byte, key string, value []byte) []byte {
	value = text(value)
	return append(pair(b, attributes, key, len(value)), value...)
}

// pair begins a KeyValue with a text of so many bytes, which follow.
func pair(b []byte, n protowire.Number, key string, size int) []byte {
	value := 1 + protowire.SizeBytes(size)
	b = protowire.AppendTag(b, n, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(1+protowire.SizeBytes(len(key))+1+protowire.SizeBytes(value)))
	b = protowire.AppendString(append(b, 1<<3|2), key)
	b = protowire.AppendVarint(append(b, 2<<3|2), uint64(value))
	return protowire.AppendVarint(append(b, 1<<3|2), uint64(size))
}

// text makes sure that bytes are a string of protobuf, which a collector
// refuses with all that came along otherwise.
func text(v []byte) []byte {
	if utf8.Valid(v) {
		return v
	}
	out := make([]byte, 0, len(v))
	for _, r := range string(v) {
		out = utf8.AppendRune(out, r)
	}
	return out
}

// request is the message ExportTraceServiceRequest around encoded spans, each
// with its tag.
func request(to, resource, spans []byte) []byte {
	const scope = "\x0a\x06\x0a\x04weft" // ScopeSpans.scope with a name
	inner := len(scope) + len(spans)
	outer := 1 + protowire.SizeBytes(len(resource)) + 1 + protowire.SizeBytes(inner)
	to = protowire.AppendVarint(append(to, 1<<3|2), uint64(outer))
	to = protowire.AppendBytes(append(to, 1<<3|2), resource)
	to = protowire.AppendVarint(append(to, 2<<3|2), uint64(inner))
	return append(append(to, scope...), spans...)
}

// resource is the message Resource of a service.
func resource(service string) []byte {
	return append(pair(nil, 1, "service.name", len(service)), service...)
}

// rejected is how many spans an ExportTraceServiceResponse says were not taken.
func rejected(b []byte) uint64 {
	num, typ, n := protowire.ConsumeTag(b)
	if n < 0 || num != 1 || typ != protowire.BytesType {
		return 0
	}
	partial, m := protowire.ConsumeBytes(b[n:])
	if m < 0 {
		return 0
	}
	if num, typ, n = protowire.ConsumeTag(partial); n < 0 || num != 1 || typ != protowire.VarintType {
		return 0
	}
	v, m := protowire.ConsumeVarint(partial[n:])
	if m < 0 {
		return 0
	}
	return v
}
