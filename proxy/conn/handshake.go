package conn

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync/atomic"
)

// errTakeover means that what crypto/tls handed over does not fit together.
var errTakeover = errors.New("conn: keys of the TLS session cannot be used")

// plainRecords says that crypto/tls keeps the records of new connections.
var plainRecords atomic.Bool

// OwnRecords says whether connections whose handshake begins from now on have
// their records protected here, which is the default, or by crypto/tls, whose
// handshake it is in both cases. It holds for the whole process.
func OwnRecords(on bool) { plainRecords.Store(!on) }

// Server performs the server's TLS handshake on c and returns the connection
// of the decrypted bytes. Bytes that c has buffered are read first. When the
// handshake fails, c is closed.
//
// Each connection works on a copy of cfg: keys of session tickets that crypto/tls
// makes up by itself are not shared among them, so set those, or WrapSession.
func Server(ctx context.Context, c *Conn, cfg *tls.Config) (*Conn, error) {
	return handshake(ctx, c, cfg, false)
}

// Client is the same for the client's side.
func Client(ctx context.Context, c *Conn, cfg *tls.Config) (*Conn, error) {
	return handshake(ctx, c, cfg, true)
}

func handshake(ctx context.Context, c *Conn, cfg *tls.Config, client bool) (*Conn, error) {
	// Its stack is deep. A goroutine of its own has it for as long as it lasts
	// only, not for the life of the connection.
	type result struct {
		c     *Conn
		err   error
		crash string // it panicked
	}
	done := make(chan result, 1)
	go func() {
		// A panic is for whoever waits, who knows what it is about.
		defer func() {
			if p := recover(); p != nil {
				done <- result{crash: fmt.Sprintf("%v\n%s", p, debug.Stack())}
			}
		}()
		s, err := shake(ctx, c, cfg, client)
		done <- result{c: s, err: err}
	}()
	r := <-done
	if r.crash != "" {
		panic(r.crash)
	}
	return r.c, r.err
}

func shake(ctx context.Context, c *Conn, cfg *tls.Config, client bool) (*Conn, error) {
	tr := &transport{Conn: c}
	var sec *secrets
	cfg = cfg.Clone()
	if cfg.ClientSessionCache != nil {
		cfg.ClientSessionCache = peerSessions{cfg.ClientSessionCache, c.nc.RemoteAddr().String()}
	}
	if !plainRecords.Load() && !fips140.Enabled() {
		sec = &secrets{}
		if cfg.KeyLogWriter != nil {
			cfg.KeyLogWriter = io.MultiWriter(sec, cfg.KeyLogWriter)
		} else {
			cfg.KeyLogWriter = sec
		}
	}
	as := tls.Server
	if client {
		as = tls.Client
	}
	t := as(tr, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = c.Close() // sends the alert that is pending
		return nil, err
	}
	s := NewTLS(c, t)
	if sec == nil {
		return s, nil
	}
	if err := s.takeOver(sec, cfg, client); err != nil && !errors.Is(err, errSuite) {
		c.Abort()
		return nil, err
	}
	return s, nil
}

// peerSessions keeps sessions by address: the pods of one service have one name,
// and cannot read each other's tickets.
type peerSessions struct {
	tls.ClientSessionCache
	address string
}

func (p peerSessions) Get(key string) (*tls.ClientSessionState, bool) {
	return p.ClientSessionCache.Get(p.address + " " + key)
}

func (p peerSessions) Put(key string, s *tls.ClientSessionState) {
	p.ClientSessionCache.Put(p.address+" "+key, s)
}

// secrets receives the traffic secrets of one connection, in the form of a key
// log (the NSS format); it is the one way in which crypto/tls gives them out.
// They stay in memory.
type secrets struct{ client, server []byte }

func (s *secrets) Write(line []byte) (int, error) {
	f := bytes.Fields(line)
	if len(f) != 3 {
		return len(line), nil
	}
	to := &s.client
	switch string(f[0]) {
	case "CLIENT_TRAFFIC_SECRET_0":
	case "SERVER_TRAFFIC_SECRET_0":
		to = &s.server
	default:
		return len(line), nil
	}
	secret := make([]byte, hex.DecodedLen(len(f[2])))
	if _, err := hex.Decode(secret, f[2]); err != nil {
		return 0, err
	}
	*to = secret
	return len(line), nil
}

// takeOver replaces crypto/tls once the handshake is done. errSuite leaves the
// connection as it was.
func (c *Conn) takeOver(sec *secrets, cfg *tls.Config, client bool) error {
	state := c.tls.ConnectionState()
	if state.Version != tls.VersionTLS13 {
		return fmt.Errorf("%w: %s", errSuite, tls.VersionName(state.Version))
	}
	su, err := suiteOf(state.CipherSuite)
	if err != nil {
		return err
	}
	if sec.client == nil || sec.server == nil {
		// GetConfigForClient gave another configuration.
		return fmt.Errorf("%w: its secrets were not told", errSuite)
	}
	mine, theirs := sec.server, sec.client
	if client {
		mine, theirs = theirs, mine
	}
	out, err := newHalf(su, mine)
	if err != nil {
		return err
	}
	in, err := newHalf(su, theirs)
	if err != nil {
		return err
	}
	if err := c.rec.learnSequence(c.tls, out); err != nil {
		return err
	}
	o := &own{in: in, out: out, state: state, client: client}
	if client && cfg.ClientSessionCache != nil && !cfg.SessionTicketsDisabled {
		o.tickets = &ticketFeed{half: *in, tls: c.tls, rec: c.rec}
	}
	c.own, c.tls, c.rec = o, nil, nil
	return nil
}

// learnSequence finds out how many records crypto/tls has sent with the keys of
// the application already: session tickets are. It makes crypto/tls protect a
// byte, which is not sent, and looks at which number that was.
func (t *transport) learnSequence(from *tls.Conn, h *half) error {
	t.taken = true
	if _, err := from.Write([]byte{0}); err != nil {
		return err
	}
	rec := t.kept
	t.kept = nil
	if n, ok, err := whole(rec); err != nil || !ok || n != len(rec) || n > 64 {
		return errTakeover
	}
	plain := make([]byte, 64)
	for seq := range uint64(maxTickets) {
		h.seq = seq
		if n, kind, err := h.open(plain, rec); err == nil && n == 1 && kind == typeApplication && plain[0] == 0 {
			h.seq = seq
			return nil
		}
	}
	return errTakeover
}

// maxTickets is how many records a server may have sent within the handshake.
const maxTickets = 16

// ticketFeed gives session tickets to crypto/tls, which knows how they are
// resumed. It expects them as records, in the keys of the handshake's end, so
// that they are protected once more; nothing of that leaves the process.
type ticketFeed struct {
	half half
	tls  *tls.Conn
	rec  *transport
}

// give hands over one handshake message.
func (f *ticketFeed) give(msg []byte) error {
	for len(msg) > 0 {
		n := min(len(msg), record)
		b := make([]byte, recordHead+n+recordTail)
		copy(b[recordHead:], msg[:n])
		f.half.seal(b, n, typeHandshake)
		f.rec.feed = append(f.rec.feed, b...)
		msg = msg[n:]
	}
	_, err := f.tls.Read(make([]byte, 1))
	if errors.Is(err, errAgain) {
		return nil
	}
	return err
}
