// Package kube is the source that watches a Kubernetes API server.
//
//	shared informers: namespaces, services, endpointslices, pods ───────┐
//	CRD informers ──a version is served──► informer of that resource ───┴─► events
//
// Objects are cut down to the fields that the mesh reads before they are kept.
// A resource that is defined by a CRD is watched while its CRD exists, in the
// first version of ours that is served, from whenever that may be.
//
// The service account needs list and watch on namespaces, services, pods,
// endpointslices (discovery.k8s.io), customresourcedefinitions
// (apiextensions.k8s.io), httproutes and referencegrants
// (gateway.networking.k8s.io), trafficsplits (split.smi-spec.io), and
// virtualservices, destinationrules, serviceentries, workloadentries,
// workloadgroups sidecars (networking.istio.io) and telemetries (telemetry.istio.io).
package kube
