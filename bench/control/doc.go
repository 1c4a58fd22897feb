// Command control measures what the control plane costs: weft-control as a
// process of its own against a real API server and etcd, with simulated
// proxies that hold real certificates.
//
//	etcd ◄─ kube-apiserver ◄─ weft-control ◄─TLS, delta ADS─ 1, 50, 500 sidecars, wildcard clients
//	            ▲ one change                                   │ all have it
//	            └──────────────── time and CPU-seconds ────────┘
//
// The mesh is that of the published comparison: services with five endpoints
// each in 40 namespaces, and for every second one a VirtualService with three
// routes and a DestinationRule with two subsets. The programs of the cluster
// come from the test cluster's cache; nothing else of a node runs.
package main
