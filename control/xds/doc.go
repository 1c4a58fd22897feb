// Package xds turns the mesh into standard xDS v3 resources, one file a
// resource type. Its functions are pure: the same input gives the same message,
// and the caller decides who may see it, when to encode it and whom to send it.
//
// The names and the shape of every resource are written down in docs/xds.md;
// our own proxy decodes exactly that, Envoy and proxyless gRPC read it as the
// standard says. Where they need something else, a Kind says so.
package xds
