// Package accesslog writes a line for each request and connection, where the
// configuration asks for it: formats of Envoy's (internal/accessformat), as
// text or JSON, to files and the standard streams.
//
//	Slot ── of a destination ──► Log ──► Entry ── of one request ──► Sink ── of one file
//
// A Slot is asked once for each request; an empty one costs a load. An Entry
// keeps what the line needs of the request's head, and makes the line when the
// request is over, in memory that is used again. A Sink gathers lines and has
// one goroutine that writes. What does not fit because the file is slow or full
// is dropped and counted: no request ever waits for its log.
package accesslog
