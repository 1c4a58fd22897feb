// Package h2 is HTTP/2 (RFC 9113) over a proxy connection: an own frame codec,
// stream table and HPACK, and between two of our proxies plain head blocks in
// place of HPACK, which also carry what HTTP/1 says (plain.go).
//
// A connection (Server or Client) has one goroutine that reads. Everything a
// stream sends is framed into the connection's output buffer under its lock and
// leaves in batches: with few streams open the goroutine that queued the last
// frame writes, as far as that needs no waiting; otherwise one flusher lets
// everybody who is ready queue first. The reader never waits for a stream: DATA
// is stored in the stream up to its receive window, which is given back only as
// the owner takes the bytes, so a slow reader stops its peer and not its
// neighbours.
//
// A Stream is used by up to two goroutines, one for each direction, which park
// on a channel of their own. Streams, the memory of their heads, and the
// goroutines that run a server's handlers are reused: an exchange allocates
// nothing. An idle connection holds neither buffers nor, after a while, idle
// goroutines but the reader.
package h2
