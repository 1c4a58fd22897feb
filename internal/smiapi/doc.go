// Package smiapi reads the Service Mesh Interface's TrafficSplit: the versions
// v1alpha1 to v1alpha4 of split.smi-spec.io, normalised into one struct; and the
// HTTPRouteGroups of specs.smi-spec.io, to which splits refer.
package smiapi
