package h2

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// outLimit bounds the frames that wait to be written, in bytes: streams
	// wait above it. What must be said to the peer at once may exceed it.
	outLimit = 64 << 10
	// plainOutLimit is that between two of our proxies, which large bodies pass in
	// large pieces: each costs waking the other side.
	plainOutLimit = 256 << 10
	// openLimit is how much may wait when a stream is opened, in bytes: a peer that
	// reads nothing must not have heads pile up of requests that are long over.
	openLimit = 1 << 20
	// replyLimit bounds replies that the peer does not take, in bytes.
	replyLimit = 256 << 10
	// blockLimit bounds a compressed head, in bytes.
	blockLimit = 128 << 10
	// linger is how long the reader waits for the peer to close after the last
	// frame was sent, so that the frame is not lost to a TCP reset.
	linger = time.Second
	// drainWait bounds the wait for the reply to the PING between the two
	// GOAWAYs of an orderly end (RFC 9113, section 6.8).
	drainWait = time.Second
)

// plainStreams is how many streams a peer takes at least where heads are plain
// (docs/xds.md, between two proxies): so many are opened before it has spoken.
const plainStreams = 1000

// drainPing marks the PING between the two GOAWAYs; alivePing the keep-alive.
var (
	drainPing = [8]byte{'w', 'e', 'f', 't', 'd', 'r', 'n', 1}
	alivePing = [8]byte{'w', 'e', 'f', 't', 'a', 'l', 'v', 1}
)

// Transport is the byte stream below a connection. Fill, Buffered and Discard
// are called by one goroutine, Write and Flush by one other; the rest by any.
type Transport interface {
	// Fill blocks until at least one more byte is buffered.
	Fill() error
	// Buffered returns what was read and not discarded, valid until Fill.
	Buffered() []byte
	Discard(n int)
	Write(p []byte) (int, error)
	Flush() error
	// SetDuplex tells that Fill must not flush.
	SetDuplex()
	CloseWrite() error
	Close() error
	// Taken is how many bytes the system has accepted for sending: what it has
	// not has certainly not reached the peer.
	Taken() uint64
}

// mux is one connection, of either side.
type mux struct {
	t      Transport
	try    tryFlusher // t, where it can flush without waiting
	mine   mineWriter // t, where it can do without a copy
	most   int        // outLimit or plainOutLimit
	o      Options
	client bool
	serve  func(*Stream) // server: runs a stream
	done   chan struct{} // closed when the reader has ended
	ready  chan struct{} // closed with the peer's first SETTINGS, or at the end

	// of the reader alone
	head  headReader
	cont  frameHeader // the HEADERS that CONTINUATION frames complete
	block []byte
	lost  headMem // heads that nobody reads

	mu     sync.Mutex
	calm   calm
	count  meter
	wakes  []chan struct{} // goroutines that go on once mu is free
	aborts []abortion      // to be called once mu is free
	after  []func()        // the same, for what is rare
	open   table
	credit line      // writers that wait for the connection's window
	space  line      // and for room in out
	idle   sync.Cond // something rare has changed: handlers, flushing, aborting
	frames uint32    // received, for the keep-alive
	alive  alive

	// of a server
	handlers     int     // that run, also of ended streams
	workers      *worker // idle ones, the last used first
	idleWorkers  int
	spareWorkers int // how many of them were idle all the time
	resting      bool
	rester       *time.Timer

	// Of the goroutine that writes for many streams: it is kept while there is
	// something to write every now and then.
	flusher      chan struct{}
	flusherRests bool
	flusherUsed  bool // since the last look

	codec    headCodec
	out      []byte       // frames to be written
	spare    []byte       // what out was before
	boxes    []*outBuffer // where out and spare came from
	replies  int          // bytes of out that answer the peer's frames
	dirty    bool         // something was queued since mu was taken
	later    bool         // and more will be soon
	flushing bool         // somebody writes
	left     bool         // the transport holds bytes that were not flushed
	flushFn  func()       // c.flush, made once

	peer      settings
	greeted   bool // the peer's first SETTINGS came
	sendAvail int64
	recvAvail int64
	unacked   int64 // received and not given back
	buffered  int   // held by all streams, unread
	squeeze   squeeze
	weight    int // of open streams; see weigh
	weighed   int // what Memory was told of it

	lastPeer uint32 // highest stream that the peer opened
	nextOwn  uint32 // next stream that this side opens
	handed   uint32 // client: the last stream whose head may have left
	recent   batches
	resets   resetRing

	draining  bool
	saidLast  bool        // the last GOAWAY was sent
	goAway    uint32      // streams of the peer above it are ignored
	peerAway  bool        // the peer sent GOAWAY
	deaf      bool        // it takes nothing any more (leaveToReader)
	ended     bool        // no frame is handled or queued any more
	err       error       // why, nil for an orderly end
	late      *time.Timer // closes the connection some time after the end
	closeOnce sync.Once
	crashed   atomic.Bool
}

// abortion is a call of an Aborter that is due.
type abortion struct {
	s   *Stream
	a   Aborter
	err error
}

func newMux(t Transport, o Options, client bool) *mux {
	o = o.withDefaults()
	c := &mux{
		t: t, o: o, client: client, done: make(chan struct{}), ready: make(chan struct{}),
		peer: initialSettings(), sendAvail: defaultWindow, recvAvail: int64(o.ConnWindow), nextOwn: 2, goAway: maxWindow,
	}
	if client {
		c.nextOwn = 1
	}
	c.try, _ = t.(tryFlusher)
	c.mine, _ = t.(mineWriter)
	c.idle.L, c.flushFn = &c.mu, c.flush
	t.SetDuplex()
	c.squeeze = newSqueeze(&o)
	c.calm = newCalm(c.o)
	if o.Plain {
		c.codec, c.most = plainCodec{}, plainOutLimit
		c.peer.maxStreams = plainStreams
	} else {
		c.codec, c.most = hpackCodec{newEncoder(), newDecoder()}, outLimit
	}
	return c
}

// greet queues what this side says first.
func (c *mux) greet() {
	c.mu.Lock()
	defer c.unlock()
	pairs := [][2]uint32{{setInitialWindow, uint32(c.squeeze.window)}, {setMaxHeaderList, uint32(c.o.MaxHead)}}
	if c.client {
		c.out = append(c.out, preface...)
		pairs = append(pairs, [2]uint32{setEnablePush, 0})
	} else {
		pairs = append(pairs, [2]uint32{setMaxStreams, c.o.MaxStreams}, [2]uint32{setExtendedConnect, 1})
		if c.o.Bytes {
			pairs = append(pairs, [2]uint32{setBytes, 1})
		}
	}
	c.out = appendSettings(c.out, pairs...)
	if n := c.o.ConnWindow - defaultWindow; n > 0 {
		c.out = appendWindowUpdate(c.out, 0, uint32(n))
	}
	c.kick(true)
}

// unlock frees mu and does what had to wait for that.
func (c *mux) unlock() {
	here := false
	if c.dirty {
		c.dirty = false
		if !c.flushing && !c.ended && !c.deaf && len(c.out) > 0 {
			c.flushing = true
			if here = !c.later && c.mayFlushHere(); !here {
				c.startFlush()
			}
		}
	}
	for i, w := range c.wakes {
		w <- struct{}{} // never waits: one token for one that parks
		c.wakes[i] = nil
	}
	c.wakes = c.wakes[:0]
	for len(c.aborts) > 0 || len(c.after) > 0 {
		aborts, after := c.aborts, c.after
		c.aborts, c.after = nil, nil
		c.mu.Unlock()
		for _, a := range aborts {
			a.a.Aborted(a.err)
		}
		for _, f := range after {
			f()
		}
		c.mu.Lock()
		for _, a := range aborts {
			a.s.aborting = false
		}
		c.idle.Broadcast()
	}
	if here {
		c.writeOut(true)
		return
	}
	c.mu.Unlock()
}

// run reads until the connection is over and returns why (nil for an orderly
// end). It owns the transport's read side.
func (c *mux) run() error {
	hand := time.AfterFunc(c.o.HandshakeTimeout, func() {
		defer c.guard()
		c.mu.Lock()
		defer c.unlock()
		if !c.greeted {
			c.end(connErr(CodeSettingsTimeout, "no SETTINGS from the peer"))
		}
	})
	stop := c.keepAlive()
	err := c.readSafely()
	hand.Stop()
	stop()

	c.mu.Lock()
	eof := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	if eof || errors.Is(err, syscall.ECONNRESET) {
		c.settle()
	}
	if eof && c.client {
		c.recall()
	}
	var ce *ConnError
	switch {
	case errors.As(err, &ce):
		c.end(ce)
	case eof && c.open.n == 0 && c.cont.stream == 0:
		c.end(nil)
	case eof:
		// A connection that is lost is not the end of anybody's body: no stream's
		// error may be taken for io.EOF.
		c.end(&ConnError{Code: CodeInternal, Reason: "read failed", Err: io.ErrUnexpectedEOF})
	case err != nil:
		c.end(&ConnError{Code: CodeInternal, Reason: "read failed", Err: err})
	}
	c.unlock()
	c.linger(err)
	if c.late != nil { // else it crashed
		c.late.Stop()
	}
	c.close()
	close(c.done)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
