// Package trace makes spans of requests, where the configuration asks for it,
// and sends them to a collector with OTLP over gRPC.
//
//	Slot ── of a place ──► Tracer ──► Span ── of one request ──► Exporter ── of one collector
//
// A Slot is asked once for each request; an empty one costs a load. Tracer.Start
// reads the trace context of a request's head (W3C, B3), decides whether the
// request is sampled and writes the context for the next proxy. Span.Finish
// writes the span in the form of the wire, in memory that is used again. An
// Exporter gathers spans and has one goroutine that sends. What it cannot send
// is dropped and counted: no request ever waits for it.
//
// Formats: https://www.w3.org/TR/trace-context/, https://github.com/openzipkin/b3-propagation,
// https://github.com/open-telemetry/opentelemetry-proto.
package trace
