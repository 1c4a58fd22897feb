// Package istio translates the networking objects of Istio: VirtualServices to
// routes and policy, DestinationRules to destinations, ServiceEntries and
// WorkloadEntries to services, endpoints and workloads, Sidecars to what
// clients may see.
//
//	ServiceEntry, WorkloadEntry ──► services, endpoints, workloads ─┐
//	Services of the platform ───────────────────────────────────────┴► hosts
//	VirtualService ──hosts──► for each host and port, and each namespace that
//	                          sees other objects than the rest:
//	    only a catch-all to the host itself ──► an overlay (policy)
//	    anything else ──► rules, of all objects, the oldest first ──► a route
//	DestinationRule ──hosts──► for each host and each such namespace: look up by
//	    client, service and root namespace; merge ──► a destination
package istio
