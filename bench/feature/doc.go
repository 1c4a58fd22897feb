// Package feature holds the benchmarks of what each feature of the proxy costs
// a request, in ns and allocations. make bench-features runs them.
package feature
