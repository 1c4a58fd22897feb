package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Namespaces of metadata.
const (
	weftMetadata   = "weft"
	socketMetadata = "envoy.transport_socket_match"
)

// mutualKey and mutualValue mark endpoints that receive mutual TLS.
const (
	mutualKey   = "tlsMode"
	mutualValue = "istio"
)

// stringStruct makes a Struct of the pairs key, value, key, value...; those
// with an empty value are left out.
func stringStruct(pairs ...string) *structpb.Struct {
	s := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			s.Fields[pairs[i]] = structpb.NewStringValue(pairs[i+1])
		}
	}
	return s
}

func metadata(s *structpb.Struct) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{weftMetadata: s}}
}
