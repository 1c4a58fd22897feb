// Package local runs a mesh without Kubernetes: the same control plane on a
// folder of YAML, and the same proxy beside ordinary processes, all on the
// loopback interface and without root.
//
//	folder/          what the mesh is told, one file a thing, yours to edit
//	  services/*.yaml    Service objects
//	  policy/*.yaml      splits and routes
//	  workloads/*.yaml   Pod and EndpointSlice of each running process
//	state/           what the mesh remembers: identity, tokens, logs, addresses
//
// A workload is a process and its proxy. Peers dial the proxy's inbound
// listener; the process dials its upstreams at explicit listeners of its own
// proxy.
package local
