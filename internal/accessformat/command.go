package accessformat

// Command is what an Op writes.
type Command uint8

// The commands, by Envoy's names. Text is constant; Nothing is a command of
// Envoy's whose value does not exist here, which is written as one without a
// value is.
const (
	Text Command = iota
	Nothing
	Request  // REQ
	Response // RESP
	StartTime
	BytesReceived
	BytesSent
	Protocol
	ResponseCode
	ResponseCodeDetails
	TerminationDetails
	Flags
	Duration        // START to the end of the response, and the others with Op.From and Op.To
	GRPCStatus      // by name
	GRPCNumber      // by number
	RouteName       //
	UpstreamHost    // with Op.Part, as all addresses
	UpstreamLocal   //
	UpstreamCluster //
	UpstreamFailure // of the transport
	Attempts        // of sending the request
	Client          // DOWNSTREAM_REMOTE_ADDRESS
	Local           // DOWNSTREAM_LOCAL_ADDRESS
	ServerName      // REQUESTED_SERVER_NAME
	PeerURI         // DOWNSTREAM_PEER_URI_SAN
	PeerDNS         // DOWNSTREAM_PEER_DNS_SAN
	Host            // HOSTNAME
)

// Part is what of an address is written.
type Part uint8

// Parts of an address.
const (
	Whole Part = iota
	WithoutPort
	PortOnly
)

// Point is a moment in the life of a request.
type Point uint8

// Points of COMMON_DURATION, by Envoy's names.
const (
	Begin         Point = iota // DS_RX_BEG: the request's first bytes
	RequestEnd                 // DS_RX_END: its last
	UpstreamBegin              // US_TX_BEG: sent to the backend
	UpstreamHead               // US_RX_BEG: the backend's answer begins
	End                        // DS_TX_END: the answer was sent
)

type entry struct {
	command  Command
	part     Part
	from, to Point
	arg      argument
}

// argument is what may stand in a command's brackets.
type argument uint8

const (
	noArgument argument = iota
	header              // name?other
	timeFormat          // of strftime
	points              // from:to:unit
	anything            // of a command without value
)

var table = map[string]entry{
	"REQ":        {command: Request, arg: header},
	"RESP":       {command: Response, arg: header},
	"START_TIME": {command: StartTime, arg: timeFormat},

	"BYTES_RECEIVED":         {command: BytesReceived},
	"BYTES_SENT":             {command: BytesSent},
	"PROTOCOL":               {command: Protocol},
	"RESPONSE_CODE":          {command: ResponseCode},
	"RESPONSE_CODE_DETAILS":  {command: ResponseCodeDetails, arg: anything},
	"RESPONSE_FLAGS":         {command: Flags},
	"GRPC_STATUS":            {command: GRPCStatus, arg: anything},
	"GRPC_STATUS_NUMBER":     {command: GRPCNumber},
	"ROUTE_NAME":             {command: RouteName},
	"REQUESTED_SERVER_NAME":  {command: ServerName, arg: anything},
	"HOSTNAME":               {command: Host},
	"DURATION":               {command: Duration, from: Begin, to: End},
	"REQUEST_DURATION":       {command: Duration, from: Begin, to: RequestEnd},
	"REQUEST_TX_DURATION":    {command: Duration, from: Begin, to: UpstreamBegin},
	"RESPONSE_DURATION":      {command: Duration, from: Begin, to: UpstreamHead},
	"RESPONSE_TX_DURATION":   {command: Duration, from: UpstreamHead, to: End},
	"COMMON_DURATION":        {command: Duration, arg: points},
	"UPSTREAM_CLUSTER":       {command: UpstreamCluster},
	"UPSTREAM_CLUSTER_RAW":   {command: UpstreamCluster},
	"UPSTREAM_HOST":          {command: UpstreamHost},
	"UPSTREAM_REMOTE_PORT":   {command: UpstreamHost, part: PortOnly},
	"UPSTREAM_LOCAL_PORT":    {command: UpstreamLocal, part: PortOnly},
	"DOWNSTREAM_REMOTE_PORT": {command: Client, part: PortOnly},
	"DOWNSTREAM_LOCAL_PORT":  {command: Local, part: PortOnly},

	"CONNECTION_TERMINATION_DETAILS":                {command: TerminationDetails},
	"UPSTREAM_TRANSPORT_FAILURE_REASON":             {command: UpstreamFailure},
	"UPSTREAM_REQUEST_ATTEMPT_COUNT":                {command: Attempts},
	"UPSTREAM_REMOTE_ADDRESS":                       {command: UpstreamHost},
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":          {command: UpstreamHost, part: WithoutPort},
	"UPSTREAM_LOCAL_ADDRESS":                        {command: UpstreamLocal},
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":           {command: UpstreamLocal, part: WithoutPort},
	"DOWNSTREAM_REMOTE_ADDRESS":                     {command: Client},
	"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT":        {command: Client, part: WithoutPort},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS":              {command: Client},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": {command: Client, part: WithoutPort},
	"DOWNSTREAM_DIRECT_REMOTE_PORT":                 {command: Client, part: PortOnly},
	"DOWNSTREAM_LOCAL_ADDRESS":                      {command: Local},
	"DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT":         {command: Local, part: WithoutPort},
	"DOWNSTREAM_PEER_URI_SAN":                       {command: PeerURI},
	"DOWNSTREAM_PEER_DNS_SAN":                       {command: PeerDNS},
}

// nothing are the commands of Envoy that have no value here.
var nothing = [...]string{
	"ACCESS_LOG_TYPE", "BYTES_RETRANSMITTED", "CEL", "CONNECTION_ID", "CUSTOM_FLAGS", "DOWNSTREAM_DETECTED_CLOSE_TYPE", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS",
	"DOWNSTREAM_HANDSHAKE_DURATION", "DOWNSTREAM_HEADER_BYTES_RECEIVED", "DOWNSTREAM_HEADER_BYTES_SENT", "DOWNSTREAM_LOCAL_CLOSE_REASON",
	"DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_EMAIL_SAN", "DOWNSTREAM_LOCAL_IP_SAN", "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_LOCAL_URI_SAN",
	"DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_PEER_CERT_V_START", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
	"DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", "DOWNSTREAM_PEER_CHAIN_SERIALS", "DOWNSTREAM_PEER_EMAIL_SAN", "DOWNSTREAM_PEER_FINGERPRINT_1",
	"DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_PEER_IP_SAN", "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_SUBJECT",
	"DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_SESSION_ID", "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
	"DOWNSTREAM_WIRE_BYTES_RECEIVED", "DOWNSTREAM_WIRE_BYTES_SENT", "DYNAMIC_METADATA", "EMIT_TIME", "ENVIRONMENT", "FILTER_CHAIN_NAME", "FILTER_STATE",
	"CLUSTER_METADATA", "JA3_FINGERPRINT", "JA4_FINGERPRINT", "LISTENER_METADATA", "METADATA", "PATH", "PROXY_STATUS", "QUERY_PARAM", "REQUEST_HEADERS_BYTES", "REQ_WITHOUT_QUERY",
	"RESPONSE_FLAGS_LONG", "RESPONSE_HEADERS_BYTES", "RESPONSE_TRAILERS_BYTES", "RESP_WITHOUT_QUERY", "ROUND_TRIP_DURATION", "ROUTE_METADATA", "START_TIME_LOCAL",
	"STREAM_ID", "TLS_JA3_FINGERPRINT", "TRACE_ID", "SPAN_ID", "TRAILER", "TRAILER_WITHOUT_QUERY", "UNIQUE_ID", "UPSTREAM_CONNECTION_ID", "UPSTREAM_CONNECTION_POOL_READY_DURATION",
	"UPSTREAM_DETECTED_CLOSE_TYPE", "UPSTREAM_FILTER_STATE", "UPSTREAM_HEADER_BYTES_RECEIVED", "UPSTREAM_HEADER_BYTES_SENT", "UPSTREAM_HOSTS_ATTEMPTED",
	"UPSTREAM_HOST_IDS_ATTEMPTED", "UPSTREAM_HOST_NAME", "UPSTREAM_HOST_NAME_WITHOUT_PORT", "UPSTREAM_HOST_NAMES_ATTEMPTED", "UPSTREAM_LOCAL_CLOSE_REASON",
	"UPSTREAM_METADATA", "UPSTREAM_PEER_CERT", "UPSTREAM_PEER_CERT_V_END", "UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_DNS_SAN", "UPSTREAM_PEER_IP_SAN",
	"UPSTREAM_PEER_ISSUER", "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PROTOCOL", "UPSTREAM_TLS_CIPHER", "UPSTREAM_TLS_SESSION_ID",
	"UPSTREAM_TLS_VERSION", "UPSTREAM_WIRE_BYTES_RECEIVED", "UPSTREAM_WIRE_BYTES_SENT", "VIRTUAL_CLUSTER_NAME", "VIRTUAL_HOST_METADATA", "COALESCE", "BYTES_TOTAL",
}

func lookup(name string) (entry, bool) {
	if e, ok := table[name]; ok {
		return e, true
	}
	for _, n := range nothing {
		if n == name {
			return entry{command: Nothing, arg: anything}, true
		}
	}
	return entry{}, false
}
