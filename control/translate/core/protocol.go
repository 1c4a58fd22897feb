package core

import (
	"fmt"
	"strings"

	"github.com/weftmesh/weft/mesh"
)

// The protocol of a service port is the first of these that speaks:
//
//  1. appProtocol of the port, when it is one of the table below
//  2. config.linkerd.io/opaque-ports of the service, else of its namespace, and
//     opaquePorts of its ServiceProfile: TCP
//  3. the port's name: a protocol of the table (those without a slash), alone
//     or followed by a dash, as in http-metrics
//  4. Linkerd's default opaque ports, where no such annotation is: TCP
//  5. detection by the first bytes
//
// What would be detected, and leads to a port of a pod that a Server of Linkerd
// declares as opaque or TLS, is TCP.
//
// UDP and SCTP ports are no ports of the mesh.
//
// Sources: Kubernetes KEP-3726 (kubernetes.io/*), Istio's protocol selection
// (appProtocol and name prefixes), Linkerd's protocol declaration and opaque
// ports.
var protocols = map[string]mesh.Protocol{
	"http":              mesh.HTTP,
	"http1":             mesh.HTTP,
	"grpc-web":          mesh.HTTP,
	"kubernetes.io/ws":  mesh.HTTP,
	"http2":             mesh.HTTP2,
	"h2c":               mesh.HTTP2,
	"kubernetes.io/h2c": mesh.HTTP2,
	"grpc":              mesh.GRPC,
	"https":             mesh.TLS,
	"tls":               mesh.TLS,
	"kubernetes.io/wss": mesh.TLS,
	"tcp":               mesh.TCP,
	"linkerd.io/opaque": mesh.TCP,
	"linkerd.io/tcp":    mesh.TCP,
	"mongo":             mesh.TCP,
	"mysql":             mesh.TCP,
	"redis":             mesh.TCP,
	"postgres":          mesh.TCP,
	"postgresql":        mesh.TCP,
	"kafka":             mesh.TCP,
	"amqp":              mesh.TCP,
}

// defaultOpaque are the ports of protocols in which the server speaks first
// (Linkerd: SMTP, MySQL, Galera, PostgreSQL, Redis, ElasticSearch, Memcached).
var defaultOpaque = newPortSet(25, 587, 3306, 4444, 5432, 6379, 9300, 11211)

// protocolOf decides for one port; known is false when appProtocol is set to
// something that the mesh does not know.
func protocolOf(appProtocol *string, name string, number uint16, opaque *portSet) (p mesh.Protocol, known bool) {
	known = true
	if appProtocol != nil && *appProtocol != "" {
		if p, ok := protocols[strings.ToLower(*appProtocol)]; ok {
			return p, true
		}
		known = false
	}
	if opaque != nil && opaque.has(number, name) {
		return mesh.TCP, known
	}
	if p, ok := protocolByName(name); ok {
		return p, known
	}
	if (opaque == nil || opaque.beside) && defaultOpaque.has(number, "") {
		return mesh.TCP, known
	}
	return mesh.Detect, known
}

func protocolByName(name string) (mesh.Protocol, bool) {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "grpc-web-") {
		return mesh.HTTP, true
	}
	if p, ok := protocols[name]; ok {
		return p, true
	}
	prefix, _, dashed := strings.Cut(name, "-")
	if !dashed {
		return mesh.Detect, false
	}
	p, ok := protocols[prefix]
	return p, ok
}

func field(format string, args ...any) string { return fmt.Sprintf(format, args...) }
