package trace

import (
	"encoding/hex"

	"github.com/weftmesh/weft/proxy/http"
)

// Context is what a request's head says of the trace that it is part of.
type Context struct {
	Trace [16]byte
	// Span is that of the caller.
	Span [8]byte
	// Valid says that Trace and Span are there.
	Valid bool
	// Decided says that the caller has decided whether the request is sampled:
	// Sampled.
	Decided, Sampled bool
	// flags are those of traceparent besides.
	flags byte
	// single and multi are the forms of B3 that the request came with.
	single, multi bool
	// known says that there is an x-request-id.
	known bool
	// w3c says that traceparent is where Trace and Span are from.
	w3c bool
}

// Names of fields, in lower case.
const (
	traceparent  = "traceparent"
	tracestate   = "tracestate"
	requestID    = "x-request-id"
	b3Single     = "b3"
	b3Trace      = "x-b3-traceid"
	b3Span       = "x-b3-spanid"
	b3ParentSpan = "x-b3-parentspanid"
	b3Sampled    = "x-b3-sampled"
	b3Flags      = "x-b3-flags"
)

// Extract reads the context of a head. W3C comes before B3; what is malformed
// counts as absent.
func Extract(fields []http.Field) (c Context) {
	var parent, single, trace, span, sampled, debug []byte
	several := false
	for i := range fields {
		n := fields[i].Name
		switch len(n) {
		case len(b3Single):
			if http.EqualFold(n, b3Single) {
				single, c.single = fields[i].Value, true
			}
		case len(traceparent): // and x-b3-spanid
			switch {
			case http.EqualFold(n, traceparent):
				if parent != nil {
					several = true // which is none
				}
				parent = fields[i].Value
			case http.EqualFold(n, b3Span):
				span, c.multi = fields[i].Value, true
			}
		case len(b3Trace): // and x-b3-sampled, x-request-id
			switch {
			case http.EqualFold(n, requestID):
				c.known = c.known || len(fields[i].Value) > 0
			case http.EqualFold(n, b3Trace):
				trace, c.multi = fields[i].Value, true
			case http.EqualFold(n, b3Sampled):
				sampled, c.multi = fields[i].Value, true
			}
		case len(b3Flags):
			if http.EqualFold(n, b3Flags) {
				debug, c.multi = fields[i].Value, true
			}
		}
	}
	if !several && c.parent(parent) {
		c.w3c = true
		return c
	}
	if single != nil && c.readSingle(single) {
		return c
	}
	c.ids(trace, span)
	switch {
	case string(debug) == "1":
		c.Decided, c.Sampled = true, true
	case len(sampled) > 0:
		c.decide(sampled)
	}
	return c
}

// parent reads traceparent.
func (c *Context) parent(v []byte) bool {
	const size = 55
	var version, flags [1]byte
	if len(v) < size || v[2] != '-' || v[35] != '-' || v[52] != '-' || !lower(v[:size]) ||
		!unhex(version[:], v[:2]) || version[0] == 0xff || version[0] == 0 && len(v) != size || len(v) > size && v[size] != '-' || !unhex(flags[:], v[53:55]) {
		return false
	}
	if !c.ids(v[3:35], v[36:52]) {
		return false
	}
	c.Decided, c.Sampled, c.flags = true, flags[0]&1 != 0, flags[0]&^1
	if version[0] != 0 {
		c.flags = 0 // of no meaning that we know
	}
	return true
}

// readSingle reads b3.
func (c *Context) readSingle(v []byte) bool {
	if len(v) == 1 {
		return c.decide(v)
	}
	n := 32
	if len(v) > 16 && v[16] == '-' {
		n = 16
	}
	if len(v) < n+17 || v[n] != '-' || !c.ids(v[:n], v[n+1:n+17]) {
		return false
	}
	switch rest := v[n+17:]; {
	case len(rest) == 0:
		return true
	case len(rest) == 2 && rest[0] == '-' || len(rest) == 19 && rest[0] == '-' && rest[2] == '-':
		if c.decide(rest[1:2]) {
			return true
		}
	}
	c.Valid = false
	return false
}

// decide reads what B3 says of sampling.
func (c *Context) decide(v []byte) bool {
	switch string(v) {
	case "1", "d", "true":
		c.Decided, c.Sampled = true, true
	case "0", "false":
		c.Decided, c.Sampled = true, false
	default:
		return false
	}
	return true
}

// ids reads those of a trace, of 16 or 32 digits, and of a span.
func (c *Context) ids(trace, span []byte) bool {
	var t [16]byte
	var s [8]byte
	if len(trace) != 32 && len(trace) != 16 || !unhex(t[16-len(trace)/2:], trace) || len(span) != 16 || !unhex(s[:], span) || t == [16]byte{} || s == [8]byte{} {
		return false
	}
	c.Trace, c.Span, c.Valid = t, s, true
	return true
}

func unhex(to, from []byte) bool {
	_, err := hex.Decode(to, from)
	return err == nil
}

// lower says that no letter is in upper case, as W3C demands.
func lower(v []byte) bool {
	for _, c := range v {
		if c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}
