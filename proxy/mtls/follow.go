package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/weftmesh/weft/identity"
)

// DefaultLook is how often connections are looked through whose trust may have
// ended.
const DefaultLook = 10 * time.Second

// followed is one connection that lasts for as long as its peer is trusted.
type followed struct {
	chain []*x509.Certificate
	role  identity.Usage
	// bundle is the one by which the peer was judged last, and until the end of
	// what was proven by either side; both are look's.
	bundle *identity.Bundle
	until  time.Time
	own    time.Time // the end of our certificate
	end    func()
}

// following is the connections that are followed.
type following struct {
	mu  sync.Mutex
	all map[*followed]struct{}
}

// Follow has end called once, soon after the peer of a connection is not
// trusted any more, or what this side has proven has expired: within twice
// Options.Look. The calls are spread over half of that time, since the end of
// a root is that of many connections. end must not block. stop ends it; end may
// still be under way then.
func (s *Source) Follow(cs *tls.ConnectionState, role identity.Usage, end func()) (stop func()) {
	f := &followed{chain: cs.PeerCertificates, role: role, end: end}
	if c := s.cert.Load(); c != nil {
		f.own = c.Leaf.NotAfter
	}
	l := &s.following
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[f] = struct{}{}
	return func() { l.drop(f) }
}

// drop says whether f was still followed.
func (l *following) drop(f *followed) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.all[f]
	delete(l.all, f)
	return ok
}

// look calls end for the connections that are to end, each within spread. One
// goroutine calls it.
func (s *Source) look(spread time.Duration) {
	now, bundle := s.opts.Now(), s.bundle.Load()
	l := &s.following
	l.mu.Lock()
	var due []*followed
	for f := range l.all {
		if f.bundle != bundle || !now.Before(f.until) {
			due = append(due, f)
		}
	}
	l.mu.Unlock()
	// Thousands of signatures may have to be verified: nobody waits for that who
	// makes a connection meanwhile.
	late := 0
	for _, f := range due {
		v, err := s.judge(f.chain, f.role)
		if err != nil || !f.own.IsZero() && !now.Before(f.own) {
			if l.drop(f) {
				late++
				time.AfterFunc(rand.N(spread), f.end)
			}
			continue
		}
		f.bundle, f.until = v.bundle, v.until
		if !f.own.IsZero() && f.own.Before(f.until) {
			f.until = f.own
		}
	}
	if late > 0 {
		s.opts.Log.Info("connections end whose peers are not trusted any more, or that were made with a certificate that has expired", "connections", late)
	}
}

// follow looks until ctx ends.
func (s *Source) follow(ctx context.Context) {
	t := time.NewTicker(s.opts.Look)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			s.look(s.opts.Look)
		}
	}
}
