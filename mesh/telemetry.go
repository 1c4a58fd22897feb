package mesh

import "time"

// Telemetry says what the proxies of some workloads report (Istio Telemetry).
// Those with labels outrank those without, the namespace's own those of the
// root namespace.
type Telemetry struct {
	Ref
	// Labels of the workloads in the namespace that it is for; none means all
	// of the namespace, or of the mesh where it is the root namespace.
	Labels map[string]string `json:"labels,omitempty"`
	// Logging is what it says of access logs, in order; none means nothing.
	Logging []Logging `json:"logging,omitempty"`
	// Tracing is what it says of spans, in order; none means nothing.
	Tracing []Tracing `json:"tracing,omitempty"`
	// Created is when the object was made: of several for a workload the oldest
	// is in effect.
	Created time.Time `json:"created,omitzero"`
	Origin  Origin    `json:"origin"`
}

// Before is as that of Sidecar.
func (t *Telemetry) Before(o *Telemetry) bool { return older(t.Created, t.Ref, o.Created, o.Ref) }

// Logging switches access logs on or off.
type Logging struct {
	// Side is empty for both.
	Side Side `json:"side,omitempty"`
	// Providers by name; none means those that were named before.
	Providers []string `json:"providers,omitempty"`
	Disabled  bool     `json:"disabled,omitempty"`
}

// Side of a proxy.
type Side string

const (
	// Client is the side of the requests that a workload makes.
	Client Side = "CLIENT"
	// Server is the side of those that it serves.
	Server Side = "SERVER"
)

// EnvoyProvider is the access log of the mesh's settings under its name as a
// provider.
const EnvoyProvider = "envoy"

// LogSettings are the access log of the installation (Istio's MeshConfig).
type LogSettings struct {
	// File that every proxy writes to; empty means none, unless a Telemetry asks.
	File string
	// JSON writes objects, else it is text.
	JSON bool
	// Format is Envoy's, or an object of them in JSON; empty means Istio's.
	Format string
}

// AccessLogger writes access logs.
type AccessLogger struct {
	Path string `json:"path"`
	// Text or JSON is the format; JSON is an object.
	Text string `json:"text,omitempty"`
	JSON string `json:"json,omitempty"`
	// Requests leaves out connections without HTTP.
	Requests bool `json:"requests,omitempty"`
}

// DefaultLogFile is where logs go that are asked for without saying where.
const DefaultLogFile = "/dev/stdout"

// Logger is the access logger of the settings.
func (s LogSettings) Logger() AccessLogger {
	l := AccessLogger{Path: s.File}
	if l.Path == "" {
		l.Path = DefaultLogFile
	}
	switch {
	case s.JSON && s.Format != "":
		l.JSON = s.Format
	case s.JSON:
		l.JSON = istioJSON
	case s.Format != "":
		l.Text = s.Format
	default:
		l.Text = istioText
	}
	return l
}

// AccessLog is the formats of Linkerd's annotation config.linkerd.io/access-log.
type AccessLog string

const (
	// Apache is a line of text, in the common log format.
	Apache AccessLog = "apache"
	// JSONLog is an object a line.
	JSONLog AccessLog = "json"
)

// Logger is the access logger of the annotation; false for none.
func (a AccessLog) Logger() (l AccessLogger, ok bool) {
	l.Path, l.Requests = "/dev/stderr", true
	switch a {
	case Apache:
		l.Text = linkerdApache
	case JSONLog:
		l.JSON = linkerdJSON
	default:
		return AccessLogger{}, false
	}
	return l, true
}

// The formats that users know.
const (
	istioText = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ` +
		`"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ` +
		`"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"
	istioJSON = `{"start_time":"%START_TIME%","route_name":"%ROUTE_NAME%","method":"%REQ(:METHOD)%","path":"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%","protocol":"%PROTOCOL%",` +
		`"response_code":"%RESPONSE_CODE%","response_flags":"%RESPONSE_FLAGS%","response_code_details":"%RESPONSE_CODE_DETAILS%","connection_termination_details":"%CONNECTION_TERMINATION_DETAILS%",` +
		`"bytes_received":"%BYTES_RECEIVED%","bytes_sent":"%BYTES_SENT%","duration":"%DURATION%","upstream_service_time":"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",` +
		`"x_forwarded_for":"%REQ(X-FORWARDED-FOR)%","user_agent":"%REQ(USER-AGENT)%","request_id":"%REQ(X-REQUEST-ID)%","authority":"%REQ(:AUTHORITY)%","upstream_host":"%UPSTREAM_HOST%",` +
		`"upstream_cluster":"%UPSTREAM_CLUSTER_RAW%","upstream_local_address":"%UPSTREAM_LOCAL_ADDRESS%","downstream_local_address":"%DOWNSTREAM_LOCAL_ADDRESS%",` +
		`"downstream_remote_address":"%DOWNSTREAM_REMOTE_ADDRESS%","requested_server_name":"%REQUESTED_SERVER_NAME%","upstream_transport_failure_reason":"%UPSTREAM_TRANSPORT_FAILURE_REASON%"}`
	linkerdApache = `%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_PEER_DNS_SAN% - [%START_TIME(%Y-%m-%dT%H:%M:%E9SZ)%] "%REQ(:METHOD)% http://%REQ(:AUTHORITY)%%REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% %BYTES_SENT%` + "\n"
	linkerdJSON   = `{"client.addr":"%DOWNSTREAM_REMOTE_ADDRESS%","client.id":"%DOWNSTREAM_PEER_DNS_SAN%","host":"%REQ(:AUTHORITY)%","method":"%REQ(:METHOD)%",` +
		`"processing_ns":"%COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ns)%","request_bytes":"%BYTES_RECEIVED%","response_bytes":"%BYTES_SENT%","status":"%RESPONSE_CODE%",` +
		`"timestamp":"%START_TIME(%Y-%m-%dT%H:%M:%E9SZ)%","total_ns":"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)%","trace_id":"%REQ(X-B3-TRACEID?X-REQUEST-ID?X-AMZN-TRACE-ID)%",` +
		`"uri":"http://%REQ(:AUTHORITY)%%REQ(:PATH)%","user_agent":"%REQ(USER-AGENT)%","version":"%PROTOCOL%"}`
)
