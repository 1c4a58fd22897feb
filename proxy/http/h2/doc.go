// Package h2 is HTTP/2 (RFC 9113) over a proxy connection: an own frame codec
// and stream table around golang.org/x/net's HPACK.
//
// A connection (Server or Client) has one goroutine that reads and, while there
// is something to send, one that writes. Everything a stream sends is framed
// into the connection's output buffer under its lock and leaves in batches.
// The reader never writes and never waits for a stream: DATA is stored in the
// stream up to its receive window, which is given back only as the owner takes
// the bytes, so a slow reader stops its peer and not its neighbours.
//
// A Stream is used by up to two goroutines, one for each direction.
package h2
