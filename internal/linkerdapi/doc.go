// Package linkerdapi reads the objects of Linkerd's APIs that the mesh acts on:
// ServiceProfile of linkerd.io, Server and HTTPRoute of policy.linkerd.io. What
// is decoded holds values that can be used: expressions compile, durations and
// ratios are in range.
package linkerdapi
