package mtls

import (
	"crypto/sha256"
	"crypto/x509"
	"time"

	"github.com/weftmesh/weft/identity"
)

// maxVerdicts bounds the remembered verdicts.
const maxVerdicts = 1024

// verdictKey is a chain, by its SHA-256, in one role.
type verdictKey struct {
	sum  [sha256.Size]byte
	role identity.Usage
}

// verdict is a proof that was checked. It holds for one bundle, from the moment
// of the check until the first certificate ends on which it may rest.
type verdict struct {
	bundle      *identity.Bundle
	id          identity.ID
	from, until time.Time
}

// judge verifies a chain, unless the same one was verified under the same roots
// before and still holds. Refusals are not remembered.
func (s *Source) judge(chain []*x509.Certificate, role identity.Usage) (verdict, error) {
	bundle, now := s.bundle.Load(), s.opts.Now()
	h := sha256.New()
	for _, c := range chain {
		_, _ = h.Write(c.Raw) // each is DER, which tells its own length
	}
	k := verdictKey{role: role}
	h.Sum(k.sum[:0])
	s.mu.Lock()
	v, ok := s.verdicts[k]
	s.mu.Unlock()
	if ok && v.bundle == bundle && !now.Before(v.from) && now.Before(v.until) {
		return v, nil
	}
	id, err := identity.VerifyPeer(chain, bundle, role, now)
	if err != nil {
		return verdict{}, err
	}
	v = verdict{bundle: bundle, id: id, from: now, until: chain[0].NotAfter}
	for _, c := range chain {
		v.end(c, now)
	}
	for _, c := range bundle.Roots() {
		v.end(c, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.verdicts) >= maxVerdicts {
		clear(s.verdicts)
	}
	s.verdicts[k] = v
	return v, nil
}

// end takes the end of a certificate into account, unless it has passed: then
// the proof does not rest on it.
func (v *verdict) end(c *x509.Certificate, now time.Time) {
	if c.NotAfter.After(now) && c.NotAfter.Before(v.until) {
		v.until = c.NotAfter
	}
}
