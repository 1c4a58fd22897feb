package mtls

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"github.com/weftmesh/weft/identity"
)

// FuzzTicket: a session is resumed by nothing but a ticket of our own whose mark is
// of these roots, and still good.
func FuzzTicket(f *testing.F) {
	b, err := identity.NewBundle(&x509.Certificate{Raw: []byte("root"), IsCA: true, BasicConstraintsValid: true})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	s := &Source{}
	s.opts.Now, s.opts.Log = func() time.Time { return now }, slog.New(slog.DiscardHandler)
	s.bundle.Store(b)
	t := &tickets{source: s, keys: &tls.Config{}}
	good := appendMark(nil, b, now.Add(time.Hour))
	f.Add([]byte{}, good)
	f.Add([]byte{}, appendMark(nil, b, now))
	f.Add([]byte{}, good[:len(good)-1])
	f.Add([]byte("ticket"), append(bytes.Clone(good), 0))
	f.Fuzz(func(ft *testing.T, ticket, mark []byte) {
		if ss, _ := t.unwrap(ticket, tls.ConnectionState{}); ss != nil {
			ft.Fatalf("%x is a ticket", ticket)
		}
		own, err := t.keys.EncryptTicket(tls.ConnectionState{}, session(ft, mark))
		if err != nil {
			ft.Fatal(err)
		}
		ss, err := t.unwrap(own, tls.ConnectionState{})
		sum := b.Sum()
		want := len(mark) == markSize && bytes.HasPrefix(mark, sum[:]) && int64(binary.BigEndian.Uint64(mark[len(sum):])) > now.Unix()
		if (ss != nil) != want {
			ft.Fatalf("%x: %v %v, want %v", mark, ss, err, want)
		}
		if len(own) > 0 {
			own[len(own)/2] ^= 1
			if ss, _ := t.unwrap(own, tls.ConnectionState{}); ss != nil {
				ft.Fatal("a ticket that was changed is good")
			}
		}
	})
}

// session is a server's session of TLS 1.3 that says that and nothing else: it has
// a secret, without which it would be none.
func session(t *testing.T, extra []byte) *tls.SessionState {
	b, err := (&tls.SessionState{Extra: [][]byte{extra}}).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const secret = 2 + 1 + 2 + 8 // where its length stands
	binary.BigEndian.PutUint16(b, tls.VersionTLS13)
	b = append(append(bytes.Clone(b[:secret]), 1, 's'), b[secret+1:]...)
	ss, err := tls.ParseSessionState(b)
	if err != nil {
		t.Fatal(err)
	}
	return ss
}
