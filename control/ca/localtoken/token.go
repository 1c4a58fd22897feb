package localtoken

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Errors of Verify; errors.Is finds them under the detail.
var (
	// ErrMalformed means that it is no token of ours at all.
	ErrMalformed = errors.New("malformed token")
	// ErrSignature means that another key signed it.
	ErrSignature = errors.New("token is signed by another key")
	// ErrExpired means that its time is over, or has not come.
	ErrExpired = errors.New("token is not valid at this time")
	// ErrAudience means that it was issued for something else.
	ErrAudience = errors.New("token is for another audience")
)

const (
	issuer   = "weft-local"
	audience = "weft"
	// leeway forgives clocks that differ.
	leeway = 30 * time.Second
	// maxToken bounds what is parsed.
	maxToken = 8 << 10
)

// Claims say whom a token belongs to.
type Claims struct {
	Namespace      string
	ServiceAccount string
	Pod            string
}

type header struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
}

// payload is the JSON of a token; times are seconds since 1970 (RFC 7519,
// section 4.1).
type payload struct {
	Issuer    string   `json:"iss"`
	Audience  []string `json:"aud"`
	Subject   string   `json:"sub"`
	IssuedAt  int64    `json:"iat"`
	NotBefore int64    `json:"nbf"`
	Expires   int64    `json:"exp"`
	Namespace string   `json:"namespace"`
	Account   string   `json:"service_account"`
	Pod       string   `json:"pod"`
}

// Mint makes a token that is valid from now for the given time.
func Mint(key ed25519.PrivateKey, c Claims, now time.Time, ttl time.Duration) (string, error) {
	for what, v := range map[string]string{"namespace": c.Namespace, "service account": c.ServiceAccount, "pod": c.Pod} {
		if v == "" {
			return "", fmt.Errorf("mint token: %s is empty", what)
		}
	}
	body, err := json.Marshal(payload{
		Issuer: issuer, Audience: []string{audience}, Subject: subject(c.Namespace, c.ServiceAccount),
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(ttl).Unix(),
		Namespace: c.Namespace, Account: c.ServiceAccount, Pod: c.Pod,
	})
	if err != nil {
		return "", fmt.Errorf("mint token: %w", err)
	}
	signed := encode([]byte(`{"alg":"EdDSA","typ":"JWT"}`)) + "." + encode(body)
	return signed + "." + encode(ed25519.Sign(key, []byte(signed))), nil
}

// Verify checks a token and returns whom it belongs to.
func Verify(key ed25519.PublicKey, token string, now time.Time) (Claims, error) {
	parts := strings.Split(token, ".")
	if len(token) > maxToken || len(parts) != 3 {
		return Claims{}, fmt.Errorf("%w: it does not have three parts", ErrMalformed)
	}
	// The decoder skips line breaks: one token would have many spellings.
	if strings.ContainsAny(token, "\r\n") {
		return Claims{}, fmt.Errorf("%w: it has a line break", ErrMalformed)
	}
	var h header
	if err := decode(parts[0], &h); err != nil {
		return Claims{}, err
	}
	// Only the one algorithm of our keys: a token must not choose.
	if h.Alg != "EdDSA" {
		return Claims{}, fmt.Errorf("%w: algorithm %q, want EdDSA", ErrMalformed, h.Alg)
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil {
		return Claims{}, fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, []byte(parts[0]+"."+parts[1]), sig) {
		return Claims{}, ErrSignature
	}
	var p payload
	if err := decode(parts[1], &p); err != nil {
		return Claims{}, err
	}
	return p.check(now)
}

func (p payload) check(now time.Time) (Claims, error) {
	if p.Issuer != issuer || len(p.Audience) != 1 || p.Audience[0] != audience {
		return Claims{}, fmt.Errorf("%w: issuer %q, audience %q", ErrAudience, p.Issuer, p.Audience)
	}
	if now.Add(leeway).Before(time.Unix(p.NotBefore, 0)) || !now.Add(-leeway).Before(time.Unix(p.Expires, 0)) {
		return Claims{}, fmt.Errorf("%w: from %s to %s", ErrExpired, time.Unix(p.NotBefore, 0).UTC().Format(time.RFC3339), time.Unix(p.Expires, 0).UTC().Format(time.RFC3339))
	}
	if p.Namespace == "" || p.Account == "" || p.Pod == "" || p.Subject != subject(p.Namespace, p.Account) {
		return Claims{}, fmt.Errorf("%w: it names no workload", ErrMalformed)
	}
	return Claims{Namespace: p.Namespace, ServiceAccount: p.Account, Pod: p.Pod}, nil
}

func subject(namespace, account string) string {
	return "system:serviceaccount:" + namespace + ":" + account
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// decode reads one base64url part as a single JSON value.
func decode(part string, into any) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if d.More() {
		return fmt.Errorf("%w: more than one value", ErrMalformed)
	}
	return nil
}
