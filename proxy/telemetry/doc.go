// Package telemetry counts what passes through the proxy and writes it as
// Prometheus text, in the vocabulary of Linkerd's proxy (request_total,
// response_total, response_latency_ms, tcp_*) and in Istio's standard metrics
// (istio_requests_total and its family), from one set of handles.
//
// A handle is resolved once, for an endpoint or a connection, and then costs a
// few atomic additions a request; there is no lookup on the request path. The
// number of series is bounded: what comes beyond is counted under one series
// with the label values "overflow". A series that nobody moved for ten minutes
// is dropped, and comes back with its numbers when it moves again.
package telemetry
