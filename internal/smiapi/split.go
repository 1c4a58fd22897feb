package smiapi

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names of the API.
const (
	Group    = "split.smi-spec.io"
	Kind     = "TrafficSplit"
	Resource = "trafficsplits"
)

// Versions that can be read, the newest first.
var Versions = []string{"v1alpha4", "v1alpha3", "v1alpha2", "v1alpha1"}

// TrafficSplit is a split of any version.
type TrafficSplit struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	// Service is the root: a Service of the split's own namespace.
	Service string
	// Backends in the order in which they are written.
	Backends []Backend
	// Matches are the HTTPRouteGroups that limit the split (v1alpha2 and later).
	Matches []Match
}

// Backend is one share.
type Backend struct {
	Service string
	// MilliWeight is the weight in thousandths: 900m is 900, 90 is 90,000.
	// It is between 0 and MaxMilliWeight.
	MilliWeight int64
}

// Match refers to an HTTPRouteGroup.
type Match struct {
	APIGroup string
	Kind     string
	Name     string
}
