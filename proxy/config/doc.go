// Package config is the proxy's side of docs/xds.md: a delta ADS client that
// asks for just what the proxy needs, hand-written decoders of just that part
// of xDS, and their compilation into the types of the leaves (route, policy,
// upstream). Nothing behind it knows xDS.
//
// A resource that cannot be honoured is refused (NACK) with a message that
// names the resource and the field, and the last good one stays in effect.
// Unknown fields are skipped, as protobuf demands, but an unknown kind of
// match, filter or action is refused where to skip it would send traffic
// where nobody wanted it.
//
//	stream ──► decode ──► cache (last good, by type and name)
//	                        │ listener → route → clusters → endpoints: each names
//	                        ▼ the next, and is subscribed to when it is named
//	                      compile ──► Destination, Inbound, upstream.Registry
package config
