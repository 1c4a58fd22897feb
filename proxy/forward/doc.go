// Package forward carries requests: it takes a downstream connection that
// speaks HTTP, decides for each request where it goes (route, filter, balance),
// sends it there, tries again where the mesh's rules allow it, and brings the
// response back.
//
// An Exchange is the life of one request whatever the codec; http1*.go and
// http2*.go drive it for HTTP/1.1 and HTTP/2:
//
//	Begin ──► Next ──► (send) ──► Head ──► (copy the response) ──► End
//	            ▲                  │
//	            └──── Again ◄──────┘ connect failed, refused, unprocessed, reset
package forward
