// Package mesh is the intermediate representation between the API families
// that users write and the configuration that proxies run: plain structs, one
// file a noun, all values, immutable once built.
//
// It imports the standard library and package identity only. No Kubernetes,
// Envoy, protobuf or API-family type may appear here, so that a new family is
// a new translator and a new kind of proxy is a new encoder, and neither knows
// of the other.
package mesh
