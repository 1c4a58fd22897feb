// Package transparent proves the redirect mode without Kubernetes: real
// binaries in network namespaces of their own, joined by a bridge. A control
// plane follows a folder, weft-init sets the rules of each workload, and
// weft-proxy serves it as the user that the rules leave alone. It needs root
// and the ip command, and skips without them.
package transparent
