// Package admin answers the few requests that probes, scrapers and operators
// send to a proxy, with an HTTP/1.1 server of its own on the proxy's codec.
//
//	GET  /ready             200 when the proxy has certificate and configuration, else 503
//	GET  /live              200
//	GET  /metrics           Linkerd's vocabulary
//	GET  /config            the configuration in effect, as JSON
//	POST /shutdown          drains and ends the proxy; from loopback, where enabled
//	GET  /stats/prometheus  Istio's vocabulary
//	GET  /healthz/ready     as /ready
package admin
