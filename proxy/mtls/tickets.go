package mtls

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"time"

	"github.com/weftmesh/weft/identity"
)

// maxSessions bounds the sessions that can be resumed as a client.
const maxSessions = 256

// tickets issues and accepts session tickets. crypto/tls encrypts them with keys
// of its own, which it replaces every day, and calls VerifyConnection for resumed
// sessions as for others. What a ticket says beside that is under which roots,
// and until when, its holder was trusted: when either has changed, the ticket is
// passed over, and a full handshake judges the peer anew.
type tickets struct {
	source *Source
	keys   *tls.Config
}

// mark is what is known of a session: the bundle by which the peer was judged,
// and the end of its proof in seconds.
const markSize = sha256.Size + 8

func appendMark(b []byte, bundle *identity.Bundle, until time.Time) []byte {
	sum := bundle.Sum()
	b = append(b, sum[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(until.Unix()))
}

func (t *tickets) wrap(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
	v, err := t.source.judge(cs.PeerCertificates, identity.Client)
	if err != nil {
		return nil, err
	}
	ss.Extra = append(ss.Extra, appendMark(make([]byte, 0, markSize), v.bundle, v.until))
	return t.keys.EncryptTicket(cs, ss)
}

func (t *tickets) unwrap(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	ss, err := t.keys.DecryptTicket(ticket, cs)
	if ss == nil || err != nil {
		return nil, err
	}
	if len(ss.Extra) != 1 || len(ss.Extra[0]) != markSize {
		return nil, nil
	}
	sum := t.source.bundle.Load().Sum()
	until := int64(binary.BigEndian.Uint64(ss.Extra[0][sha256.Size:]))
	if [sha256.Size]byte(ss.Extra[0][:sha256.Size]) != sum || t.source.opts.Now().Unix() >= until {
		return nil, nil
	}
	return ss, nil
}

// sessions keeps what can be resumed as a client, for as long as the roots and
// the proxy's own certificate are those of the session's handshake.
type sessions struct {
	source *Source
	kept   tls.ClientSessionCache
}

func (c *sessions) key(k string) string {
	sum := c.source.bundle.Load().Sum()
	b := append([]byte(k), sum[:]...)
	if own := c.source.cert.Load(); own != nil {
		leaf := sha256.Sum256(own.Certificate[0])
		b = append(b, leaf[:]...)
	}
	return string(b)
}

// Get implements tls.ClientSessionCache. A session whose server is not trusted
// any more is not resumed.
func (c *sessions) Get(k string) (*tls.ClientSessionState, bool) { return c.kept.Get(c.key(k)) }

// Put implements tls.ClientSessionCache.
func (c *sessions) Put(k string, s *tls.ClientSessionState) { c.kept.Put(c.key(k), s) }
