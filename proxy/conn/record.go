package conn

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/weftmesh/weft/proxy/aesgcm"
)

// Content types (RFC 8446 section 5.1) and the alerts that are told here
// (section 6).
const (
	typeCCS         = 20
	typeAlert       = 21
	typeHandshake   = 22
	typeApplication = 23

	alertCloseNotify       tls.AlertError = 0
	alertUnexpectedMessage tls.AlertError = 10
	alertBadRecordMAC      tls.AlertError = 20
	alertRecordOverflow    tls.AlertError = 22
	alertIllegalParameter  tls.AlertError = 47
	alertDecodeError       tls.AlertError = 50
	alertUserCanceled      tls.AlertError = 90
)

const (
	recordHead = 5
	recordTail = 1 + 16 // the inner content type, and the tag of either cipher
	// maxSealed is how long the protected part of a record may be (section 5.2).
	maxSealed = record + 256
	// recordsPerKey is when the sending key is replaced: AES-GCM keeps its margin
	// for 2^24.5 records of full size (section 5.5).
	recordsPerKey = 1 << 24
)

// errSuite means that records of a cipher suite are left to crypto/tls.
var errSuite = errors.New("conn: cipher suite without records of our own")

// suite is a cipher suite as far as records need it.
type suite struct {
	hash     func() hash.Hash
	hashSize int
	keySize  int
}

// suiteOf knows the suites on AES-GCM, which is what two proxies on processors
// with AES agree on.
func suiteOf(id uint16) (suite, error) {
	switch id {
	case tls.TLS_AES_128_GCM_SHA256:
		return suite{sha256.New, sha256.Size, 16}, nil
	case tls.TLS_AES_256_GCM_SHA384:
		return suite{sha512.New384, sha512.Size384, 32}, nil
	}
	return suite{}, fmt.Errorf("%w: %s", errSuite, tls.CipherSuiteName(id))
}

// expandLabel is HKDF-Expand-Label with an empty context (section 7.1).
func (s suite) expandLabel(secret []byte, label string, n int) ([]byte, error) {
	info := make([]byte, 0, 4+6+len(label))
	info = append(info, byte(n>>8), byte(n), byte(6+len(label)))
	info = append(info, "tls13 "...)
	info = append(info, label...)
	info = append(info, 0)
	return hkdf.Expand(s.hash, secret, string(info), n)
}

// half protects the records of one direction (section 5.2).
type half struct {
	aead   cipher.AEAD
	seq    uint64
	iv     [12]byte
	nonce  [12]byte // scratch: what is handed to an interface lives on the heap
	suite  suite
	secret []byte
	limit  uint64 // records until the key is replaced
}

// newHalf makes the keys that follow from a traffic secret (section 7.3). The
// secret is kept for the next one.
func newHalf(s suite, secret []byte) (*half, error) {
	h := &half{suite: s, limit: recordsPerKey}
	if len(secret) != s.hashSize {
		return nil, fmt.Errorf("conn: traffic secret of %d bytes, want %d", len(secret), s.hashSize)
	}
	return h, h.use(secret)
}

func (h *half) use(secret []byte) error {
	key, err := h.suite.expandLabel(secret, "key", h.suite.keySize)
	if err != nil {
		return err
	}
	iv, err := h.suite.expandLabel(secret, "iv", len(h.iv))
	if err != nil {
		return err
	}
	h.aead, err = aesgcm.New(key)
	clear(key)
	if err != nil {
		return err
	}
	copy(h.iv[:], iv)
	h.secret, h.seq = secret, 0
	return nil
}

// update goes on to the next generation of keys (section 7.2).
func (h *half) update() error {
	next, err := h.suite.expandLabel(h.secret, "traffic upd", h.suite.hashSize)
	if err != nil {
		return err
	}
	clear(h.secret)
	return h.use(next)
}

// count gives the nonce of the next record (section 5.3).
func (h *half) count() []byte {
	binary.BigEndian.PutUint64(h.nonce[4:], h.seq)
	for i, b := range h.iv {
		if i < 4 {
			h.nonce[i] = b
		} else {
			h.nonce[i] ^= b
		}
	}
	h.seq++
	return h.nonce[:]
}

// seal protects b[recordHead:recordHead+n] where it lies, and returns how long
// the record is. b has room for the tail.
func (h *half) seal(b []byte, n int, kind byte) int {
	b[recordHead+n] = kind
	putHead(b, n)
	h.aead.Seal(b[recordHead:recordHead], h.count(), b[recordHead:recordHead+n+1], b[:recordHead])
	return recordHead + n + recordTail
}

// sealFrom protects p as application data in b. The byte behind p, which must
// exist, is the inner content type for the moment.
func (h *half) sealFrom(b, p []byte) int {
	n := len(p)
	p = p[:n+1]
	was := p[n]
	p[n] = typeApplication
	putHead(b, n)
	h.aead.Seal(b[recordHead:recordHead], h.count(), p, b[:recordHead])
	p[n] = was
	return recordHead + n + recordTail
}

func putHead(b []byte, n int) {
	n += recordTail
	b[0], b[1], b[2], b[3], b[4] = typeApplication, 3, 3, byte(n>>8), byte(n)
}

// whole returns the length of the record that b begins with, and whether all of
// it is there. It judges the head as soon as it can.
func whole(b []byte) (n int, ok bool, err error) {
	if len(b) < recordHead {
		return 0, false, nil
	}
	if b[0] != typeApplication {
		return 0, false, alertUnexpectedMessage
	}
	n = int(b[3])<<8 | int(b[4])
	if n > maxSealed {
		return 0, false, alertRecordOverflow
	}
	if n < recordTail {
		return 0, false, alertBadRecordMAC
	}
	n += recordHead
	return n, len(b) >= n, nil
}

// open takes the protection of a whole record off. dst has room for the content,
// padding and type, and does not overlap rec. It returns how much content there
// is, and its type.
func (h *half) open(dst, rec []byte) (n int, kind byte, err error) {
	out, err := h.aead.Open(dst[:0], h.count(), rec[recordHead:], rec[:recordHead])
	if err != nil {
		return 0, 0, alertBadRecordMAC
	}
	if len(out) > record+1 {
		return 0, 0, alertRecordOverflow
	}
	// Zeros of padding stand behind the type (section 5.4).
	for n = len(out) - 1; n >= 0 && out[n] == 0; n-- {
	}
	if n < 0 {
		return 0, 0, alertUnexpectedMessage
	}
	return n, out[n], nil
}
