// Package forward carries requests: it takes a downstream connection that
// speaks HTTP, decides for each request where it goes (route, filter, balance),
// sends it there, tries again where the mesh's rules allow it, and brings the
// response back.
//
// An Exchange is the life of one request whatever the codec; http1*.go and
// http2*.go drive it for HTTP/1.1 and HTTP/2, hop*.go for HTTP/1 on the
// multiplexed connection between two proxies (both of its ends):
//
//	Begin ──► Next ──► Sent ──► Head ──► (copy the response) ──► Done ──► End
//	            ▲                 │
//	            └──── Again ◄─────┘ connect failed, refused, unprocessed, reset
//
// Tee and Complete tell it of the request's body, beside that, and Received that
// all of the response is here before its end is passed on. What a rule asks
// for besides a backend (route.Traffic) happens behind these calls, in
// traffic.go, clock.go, fault.go and mirror.go: drivers know nothing of it.
package forward
