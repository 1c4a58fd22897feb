package mesh

// ClientTLS is how a client secures its connections (trafficPolicy.tls).
type ClientTLS struct {
	Mode TLSMode `json:"mode"`
	// Files within the client's proxy.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	Roots       string `json:"roots,omitempty"`
	// Credential names a Secret in place of files (credentialName).
	Credential string `json:"credential,omitempty"`
	// Names of which the server's certificate must have one; none means the
	// service's own identities.
	Names []string `json:"names,omitempty"`
	SNI   string   `json:"sni,omitempty"`
	// Insecure accepts any certificate (insecureSkipVerify).
	Insecure bool   `json:"insecure,omitempty"`
	Origin   Origin `json:"origin"`
}

// TLSMode is who proves what.
type TLSMode string

const (
	// TLSDisable sends plaintext, also to meshed endpoints.
	TLSDisable TLSMode = "DISABLE"
	// TLSSimple verifies the server.
	TLSSimple TLSMode = "SIMPLE"
	// TLSMutual shows a certificate of the user's own as well.
	TLSMutual TLSMode = "MUTUAL"
	// TLSMesh is the mesh's own mutual TLS, also where an endpoint is not
	// known to be meshed (ISTIO_MUTUAL).
	TLSMesh TLSMode = "ISTIO_MUTUAL"
)
