// Package h1 is the HTTP/1.1 codec (RFC 9112): heads are parsed in place
// without allocating, bodies are streamed between connections. It is strict
// where two readers of the same bytes might disagree about where a message
// ends, because such a disagreement smuggles requests.
package h1
