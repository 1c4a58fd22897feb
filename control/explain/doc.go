// Package explain answers what happens to one request of one client, and which
// object says so: the listener, the route and its rule, the backends with their
// endpoints, and every policy on the way.
//
// It reads the IR alone and has a matcher of its own, written to be read; a
// property test holds it to what the proxies do.
package explain
