// Package annotation reads the annotations in which Linkerd puts retries,
// timeouts and failure accrual on a Service, HTTPRoute or GRPCRoute, for every
// family whose objects carry them.
package annotation
