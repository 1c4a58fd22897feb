package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxMaterial bounds a file of certificates or keys, in bytes.
const maxMaterial = 1 << 20

// errMaterial is a file that does not hold what it should.
var errMaterial = errors.New("not usable")

// material is what files come to. They are looked at for each connection and
// read again when they have changed; while what they hold now cannot be used,
// what they held before is. The zero value is ready.
type material[T any] struct {
	mu      sync.Mutex
	have    bool
	value   T
	stamps  [2]stamp // of value
	noticed string   // what was complained of last
}

// stamp tells two contents of a file apart.
type stamp struct {
	changed time.Time
	size    int64
}

// get returns what at most two materials come to.
func (m *material[T]) get(notice func(error), parse func([2][]byte) (T, error), from ...Material) (T, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var now [2]stamp
	var err error
	for i, f := range from {
		if f.File != "" {
			var st os.FileInfo
			if st, err = os.Stat(f.File); err != nil {
				break
			}
			now[i] = stamp{st.ModTime(), st.Size()}
		}
	}
	if err == nil && m.have && now == m.stamps {
		return m.value, nil
	}
	var v T
	if err == nil {
		v, err = load(parse, from)
	}
	switch {
	case err == nil:
		m.value, m.have, m.stamps, m.noticed = v, true, now, ""
	case m.have:
		if why := err.Error(); m.noticed != why {
			m.noticed = why
			notice(err)
		}
	default:
		return v, err
	}
	return m.value, nil
}

func load[T any](parse func([2][]byte) (T, error), from []Material) (v T, err error) {
	var text [2][]byte
	names := ""
	for i, f := range from {
		if f.File == "" {
			text[i] = []byte(f.Inline)
			continue
		}
		if text[i], err = readFile(f.File); err != nil {
			return v, err
		}
		names += f.File + ": "
	}
	if v, err = parse(text); err != nil {
		err = fmt.Errorf("%s%w", names, err)
	}
	return v, err
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxMaterial+1))
	if err == nil && len(b) > maxMaterial {
		err = fmt.Errorf("%s: %w: larger than %d bytes", name, errMaterial, maxMaterial)
	}
	return b, err
}

func parseRoots(text [2][]byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text[0]) {
		return nil, fmt.Errorf("%w: no certificate in PEM", errMaterial)
	}
	return p, nil
}

// ownPair is a client's certificate, with the sessions that it opened: they
// are not resumed with another one.
type ownPair struct {
	certificate tls.Certificate
	sessions    tls.ClientSessionCache
}

func parsePair(text [2][]byte) (*ownPair, error) {
	c, err := tls.X509KeyPair(text[0], text[1])
	return &ownPair{c, tls.NewLRUClientSessionCache(maxSessions)}, err
}
