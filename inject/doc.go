// Package inject puts a sidecar into a pod.
//
// The core is pure: a pod, its namespace and the mesh's options go in, a JSON
// patch (RFC 6902) comes out, or the reason why nothing is to be done. Round it
// stand two HTTP handlers for the API server: a mutating webhook for pods, and
// a validating one for the traffic objects that the mesh reads.
//
// Whether a pod is meshed, and in which family's clothes, is decided by the
// table in decide.go. What lands in it is container.go; what users may change
// about it is settings.go.
package inject
