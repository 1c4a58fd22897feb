package config

import (
	"sort"

	"google.golang.org/protobuf/encoding/protowire"
)

// Type URLs of the resources.
const (
	urlListener   = typePrefix + "envoy.config.listener.v3.Listener"
	urlRoutes     = typePrefix + "envoy.config.route.v3.RouteConfiguration"
	urlCluster    = typePrefix + "envoy.config.cluster.v3.Cluster"
	urlAssignment = typePrefix + "envoy.config.endpoint.v3.ClusterLoadAssignment"
	urlSecret     = typePrefix + "envoy.extensions.transport_sockets.tls.v3.Secret"
)

// request is DeltaDiscoveryRequest.
type request struct {
	node        *Node // first request of a stream only
	url         string
	subscribe   []string
	unsubscribe []string
	initial     map[string]string // name → version
	nonce       string
	detail      string // error_detail.message; empty for an ACK
}

// codeInvalidArgument is google.rpc.Code INVALID_ARGUMENT.
const codeInvalidArgument = 3

// maxDetail bounds the text of a NACK, in bytes.
const maxDetail = 4096

func (r *request) encode() []byte {
	var b []byte
	if r.node != nil {
		b = appendMessage(b, 1, r.node.encode())
	}
	b = appendString(b, 2, r.url)
	for _, n := range r.subscribe {
		b = appendString(b, 3, n)
	}
	for _, n := range r.unsubscribe {
		b = appendString(b, 4, n)
	}
	for _, n := range sorted(r.initial) {
		b = appendMessage(b, 5, appendString(appendString(nil, 1, n), 2, r.initial[n]))
	}
	if r.nonce != "" {
		b = appendString(b, 6, r.nonce)
	}
	if d := r.detail; d != "" {
		if len(d) > maxDetail {
			d = d[:maxDetail]
		}
		s := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), codeInvalidArgument)
		b = appendMessage(b, 7, appendString(s, 2, d))
	}
	return b
}

func (n *Node) encode() []byte {
	b := appendString(nil, 1, n.ID)
	var fields []byte
	for _, k := range sorted(n.Metadata) {
		value := appendString(nil, 3, n.Metadata[k])
		fields = appendMessage(fields, 1, appendMessage(appendString(nil, 1, k), 2, value))
	}
	b = appendMessage(b, 3, fields)
	b = appendString(b, 6, "weft-proxy")
	return appendString(b, 7, n.Version)
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

func appendString(b []byte, num protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), s)
}

func appendMessage(b []byte, num protowire.Number, m []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), m)
}

// response is DeltaDiscoveryResponse.
type response struct {
	url       string
	nonce     string
	resources []resource
	removed   []string
}

// resource is Resource; body is a view of the message.
type resource struct {
	name, version string
	any           anyMessage
}

func decodeResponse(b []byte) (*response, error) {
	r := &response{}
	err := eachField(b, func(f field) error {
		switch f.num {
		case 2:
			return f.in("resources["+itoa(len(r.resources))+"]", func(b []byte) error {
				x, err := decodeResource(b)
				r.resources = append(r.resources, x)
				return err
			})
		case 4:
			return f.str(&r.url)
		case 5:
			return f.str(&r.nonce)
		case 6:
			var n string
			if err := f.str(&n); err != nil {
				return err
			}
			r.removed = append(r.removed, n)
		}
		return nil
	})
	return r, err
}

func decodeResource(b []byte) (x resource, err error) {
	err = eachField(b, func(f field) error {
		switch f.num {
		case 1:
			return f.str(&x.version)
		case 2:
			return f.in("resource", func(b []byte) (err error) {
				x.any, err = decodeAny(b)
				return err
			})
		case 3:
			return f.str(&x.name)
		}
		return nil
	})
	return x, err
}
