// Package weft is the root of the service mesh. It holds no code: the root
// listing is the architecture (docs/architecture.md), and the tests here are
// the laws that keep it so.
package weft
