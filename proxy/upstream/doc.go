// Package upstream is everything behind a routing decision: clusters, their
// endpoints, the connections to them, and the state that must outlive a
// configuration (pools, load, penalties).
//
// A Cluster is a lasting handle: the Registry gives the same *Cluster for the
// same name for as long as it is known, whatever configurations come and go.
package upstream
