// Package localtoken issues and verifies the tokens of workloads in a mesh
// without Kubernetes. A token is a JSON Web Token (RFC 7519) signed with Ed25519
// (RFC 8037), bound to a namespace, a service account and a pod. Whoever has the
// private key decides who is who in the mesh.
package localtoken
