// Package push serves the aggregated discovery service: delta xDS, which our
// proxy uses, and state-of-the-world xDS for clients that know only that.
//
//	request ─► subscription ─► snapshot.Holder ─► dirty names ─► response ─► ACK or NACK
//
// One goroutine a stream reads, one answers. What changed is a set of names,
// not a queue of messages: a client that reads slowly makes its own set grow up
// to its subscription and then gets the newest state, and blocks nobody.
package push
