// Package fragment is what a translator of one API family hands to the merge:
// its services and routes, its problems, and the status of its objects. It is
// all that the families share.
package fragment
