// Package cluster runs a real Kubernetes of one node on this machine, for
// tests: API server, controllers, scheduler, kubelet, kube-proxy, etcd and
// CoreDNS, with containerd and runc of the distribution below them.
//
// Everything lives in one network namespace that has no uplink, so nothing
// that runs in the cluster can reach anything outside it, and below one
// folder, so that what a killed run left behind can be found and removed.
//
//	Build   modules/*/go.mod ──► binaries and images in the user's cache
//	Up      clean ► namespace ► keys ► etcd, containerd ► API server ► the rest
//	Down    stop ► kill what is left in our namespaces ► unmount ► remove
//
// The binaries are built from published Go modules. Each has a go.mod of its
// own below modules/, so the versions are pinned with their sums and none of
// them is a dependency of the project.
package cluster
