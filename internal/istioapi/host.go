package istioapi

import "google.golang.org/protobuf/reflect/protoreflect"

// hostFields hold DNS names, which mean the same in capital letters (RFC 4343
// section 2, RFC 3986 section 3.2.2). They are read as lower-case ones, so that
// nobody behind has to compare otherwise than byte by byte.
var hostFields = map[protoreflect.FullName]bool{
	"istio.networking.v1alpha3.Destination.host":             true,
	"istio.networking.v1alpha3.DestinationRule.host":         true,
	"istio.networking.v1alpha3.IstioEgressListener.hosts":    true,
	"istio.networking.v1alpha3.ServiceEntry.hosts":           true,
	"istio.networking.v1alpha3.TLSMatchAttributes.sni_hosts": true,
	"istio.networking.v1alpha3.VirtualService.hosts":         true,
}

// lower is for ASCII alone: no other letter becomes one of a name.
func lower(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		r += 'a' - 'A'
	}
	return r
}
