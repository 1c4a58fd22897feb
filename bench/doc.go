// Package bench measures what the two sidecars of a request cost, ours beside
// other proxies, on one machine and in one run. CPU per request is what both
// sidecars have used over what the application has served meanwhile. Slices of
// all peers are interleaved in random order and repeated; slices in which other
// work on the machine took the CPU are repeated too. docs/performance.md says
// how to read the result.
package bench
