// Package world holds the mesh's inputs as they are written: typed objects,
// with the place where each was said, at one revision.
//
//	sources ──events──► Store ──World────► translate     (folded: quiet time, with a maximum)
//	                      └────EndpointSet──► snapshot   (straight, within milliseconds)
//
// One goroutine owns the state. A World, once published, never changes.
// Changes that concern endpoints alone make new endpoint sets and no new World.
package world
