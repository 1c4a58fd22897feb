// Package istioapi reads the networking objects of Istio's API: the versions
// v1alpha3, v1beta1 and v1 of networking.istio.io, which have the same fields.
//
// Decoding follows the descriptors of istio.io/api and tells the path of every
// field that is wrong or unknown, in the file source and in the cluster alike.
package istioapi
