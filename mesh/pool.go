package mesh

// Pool bounds the connections and requests of one client proxy to one service
// port or subset (trafficPolicy.connectionPool). Nil means that nothing was
// said.
type Pool struct {
	MaxConnections        *uint32    `json:"maxConnections,omitempty"`
	ConnectTimeout        *Duration  `json:"connectTimeout,omitempty"`
	Keepalive             *Keepalive `json:"keepalive,omitempty"`
	MaxConnectionDuration *Duration  `json:"maxConnectionDuration,omitempty"`
	// TCPIdle closes an opaque connection on which nothing is sent; 0 never.
	TCPIdle *Duration `json:"tcpIdle,omitempty"`

	// MaxPending requests wait for a connection (http1MaxPendingRequests).
	MaxPending *uint32 `json:"maxPending,omitempty"`
	// MaxRequests are under way at once (http2MaxRequests; both protocols).
	MaxRequests *uint32 `json:"maxRequests,omitempty"`
	// MaxRequestsPerConnection closes a connection after as many; 0 is no limit.
	MaxRequestsPerConnection *uint32 `json:"maxRequestsPerConnection,omitempty"`
	// MaxRetries are under way at once.
	MaxRetries *uint32 `json:"maxRetries,omitempty"`
	// HTTPIdle closes a connection without requests; 0 never.
	HTTPIdle *Duration `json:"httpIdle,omitempty"`
	// MaxStreams of one HTTP/2 connection (maxConcurrentStreams).
	MaxStreams *uint32 `json:"maxStreams,omitempty"`
	// Upgrade is UPGRADE, DO_NOT_UPGRADE or nothing (h2UpgradePolicy).
	Upgrade Upgrade `json:"upgrade,omitempty"`
	// ClientProtocol keeps the protocol of the client (useClientProtocol).
	ClientProtocol bool `json:"clientProtocol,omitempty"`
	// HTTP2Keepalive pings connections.
	HTTP2Keepalive *HTTP2Keepalive `json:"http2Keepalive,omitempty"`
	Origin         Origin          `json:"origin"`
}

// Upgrade says whether HTTP/1.1 requests are sent as HTTP/2.
type Upgrade string

const (
	// DoUpgrade sends HTTP/2 whatever came.
	DoUpgrade Upgrade = "UPGRADE"
	// DoNotUpgrade sends what came.
	DoNotUpgrade Upgrade = "DO_NOT_UPGRADE"
)

// Keepalive is SO_KEEPALIVE; zero values mean the system's own.
type Keepalive struct {
	Probes   uint32   `json:"probes,omitempty"`
	Time     Duration `json:"time,omitempty"`
	Interval Duration `json:"interval,omitempty"`
}

// HTTP2Keepalive sends a PING after the interval and waits for its answer.
type HTTP2Keepalive struct {
	Interval Duration `json:"interval"`
	Timeout  Duration `json:"timeout,omitempty"`
}
