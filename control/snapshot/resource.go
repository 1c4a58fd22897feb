package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
)

// Resource is a named, versioned, encoded resource. It is shared by many and
// must not be changed; the version is a hash of the encoded content, so that it
// is the same in every replica and after a restart.
type Resource = discoveryv3.Resource

// Name of a resource.
type Name struct {
	Type xds.Type
	Name string
}

// Client is who asks.
type Client struct {
	Kind xds.Kind
	// Namespace whose consumer routes bind it.
	Namespace string
	// Workload is the pod or process that it stands beside.
	Workload mesh.Ref
	// Variant and Locality are of the workload, as far as they make a difference;
	// the Store fills them in.
	Variant, Locality string
}

// class is the part of a Client that can make a difference to a resource.
func (n Name) class(c Client) Client {
	switch {
	case n.Type == xds.SecretType:
		return Client{}
	case n.Type == xds.EndpointType:
		return Client{Namespace: c.Namespace, Variant: c.Variant, Locality: c.Locality}
	case n.Type == xds.ClusterType:
		return Client{Kind: c.Kind, Namespace: c.Namespace, Variant: c.Variant, Locality: c.Locality}
	case n.Name == xds.VirtualInbound:
		return Client{Kind: c.Kind, Workload: c.Workload}
	}
	return Client{Kind: c.Kind, Namespace: c.Namespace, Variant: c.Variant}
}

// encode makes the shared form of a message.
func encode(name Name, m proto.Message) (*Resource, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", name.Type.Short(), name.Name, err)
	}
	sum := sha256.Sum256(body)
	return &Resource{
		Name:     name.Name,
		Version:  hex.EncodeToString(sum[:8]),
		Resource: &anypb.Any{TypeUrl: string(name.Type), Value: body},
	}, nil
}
