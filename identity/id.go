package identity

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Errors of ParseID and NewID; errors.Is finds them under the detail.
var (
	// ErrNotSPIFFE means that a URI is not a SPIFFE ID at all.
	ErrNotSPIFFE = errors.New("not a SPIFFE ID")
	// ErrTrustDomain means that the trust domain is empty or malformed.
	ErrTrustDomain = errors.New("invalid trust domain")
	// ErrPath means that the path is not /ns/<namespace>/sa/<service account>.
	ErrPath = errors.New("not a workload path (/ns/<namespace>/sa/<service account>)")
)

// DefaultTrustDomain is used where the installation names none.
const DefaultTrustDomain = "cluster.local"

// ID is the identity of a workload: the trust domain, the namespace and the
// service account of spiffe://<trust domain>/ns/<ns>/sa/<sa>. The zero value
// is no identity (an unauthenticated peer). IDs compare with ==.
type ID struct {
	TrustDomain    string
	Namespace      string
	ServiceAccount string
}

// NewID builds an ID and checks each part.
func NewID(trustDomain, namespace, serviceAccount string) (ID, error) {
	if err := CheckTrustDomain(trustDomain); err != nil {
		return ID{}, err
	}
	for _, seg := range []string{namespace, serviceAccount} {
		if !validSegment(seg) {
			return ID{}, fmt.Errorf("%w: segment %q", ErrPath, seg)
		}
	}
	return ID{trustDomain, namespace, serviceAccount}, nil
}

// ParseID reads a SPIFFE ID of a workload (SPIFFE-ID specification, section 2).
func ParseID(s string) (ID, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "spiffe" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.Port() != "" {
		return ID{}, fmt.Errorf("%w: %q", ErrNotSPIFFE, s)
	}
	seg := strings.Split(u.Path, "/")
	if len(seg) != 5 || seg[0] != "" || seg[1] != "ns" || seg[3] != "sa" {
		return ID{}, fmt.Errorf("%w: %q", ErrPath, s)
	}
	return NewID(u.Host, seg[2], seg[4])
}

// IsZero says whether there is no identity.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the SPIFFE URI, or the empty string for the zero ID.
func (id ID) String() string {
	if id.IsZero() {
		return ""
	}
	return "spiffe://" + id.TrustDomain + "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount
}

// URL returns the SPIFFE URI for a certificate's URI SAN.
func (id ID) URL() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: id.TrustDomain, Path: "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount}
}

// DNSName returns the second name of the same workload, in the form that
// Linkerd's policies use: <sa>.<ns>.serviceaccount.identity.<control ns>.<trust domain>.
func (id ID) DNSName(controlNamespace string) string {
	return id.ServiceAccount + "." + id.Namespace + ".serviceaccount.identity." + controlNamespace + "." + id.TrustDomain
}

// CheckTrustDomain reports whether s can be a trust domain: lower-case
// letters, digits, '-', '_' and '.' (SPIFFE-ID specification, section 2.1).
func CheckTrustDomain(s string) error {
	if s == "" || len(s) > 255 {
		return fmt.Errorf("%w: %q", ErrTrustDomain, s)
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return fmt.Errorf("%w: %q", ErrTrustDomain, s)
		}
	}
	return nil
}

func validSegment(s string) bool {
	if s == "" || s == "." || s == ".." || len(s) > 253 {
		return false
	}
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return false
		}
	}
	return true
}
