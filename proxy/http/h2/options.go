package h2

import (
	"sync/atomic"
	"time"
)

// Options of a connection; the zero value is the default of every field.
type Options struct {
	// MaxStreams is how many streams the peer may have open (default 250).
	MaxStreams uint32
	// Window is the receive window of a stream, in bytes (default 256 KiB,
	// at least 65,535).
	Window int32
	// ConnWindow is the receive window of the connection, in bytes (default
	// 1 MiB, 4 MiB where Plain; at least 65,535). It is given back on receipt, not
	// on reading, up to MaxBuffered.
	ConnWindow int32
	// Plain has heads sent as plain blocks instead of HPACK. Both sides must
	// know that of each other, as by ALPN.
	Plain bool
	// Bytes has a server take connections without HTTP: requests whose Major is
	// http.Bytes. It needs Plain.
	Bytes bool
	// MaxBuffered bounds what all streams together hold unread, in bytes: above
	// it the connection's window is no longer given back, and every stream waits
	// for the readers that are behind: so it is far above what a few of them can
	// hold (default 16 MiB).
	MaxBuffered int
	// Memory, where set, says how much of Window, ConnWindow and MaxBuffered may be
	// used at the moment, on connections and streams that exist too.
	Memory Memory
	// Meter, where set, is called once when the first request opens, and says where
	// the bytes of the connection are counted from then on, but those of
	// connections without HTTP. It must not block, nor use the connection.
	Meter func() (read, written *atomic.Uint64)
	// MaxHead bounds a head, counted as RFC 9113 section 6.5.2 does, in bytes
	// (default 64 KiB).
	MaxHead int
	// KeepAlive, when positive, sends a PING after so long without a frame while
	// streams are open. When no frame follows for as long again, a client opens no
	// stream until one does. Those that are open go on, unless all are requests and
	// the peer's system has not been heard of for five times as long.
	KeepAlive time.Duration
	// PingTimeout, when positive, fails the connection when no frame follows a PING
	// for so long.
	PingTimeout time.Duration
	// HandshakeTimeout bounds the wait for the peer's preface or first
	// SETTINGS (default 10 s).
	HandshakeTimeout time.Duration
	// Crashed, where set, is told once of a panic in a goroutine of the connection,
	// which then ends alone. Handlers' own panics are not among them.
	Crashed func(reason any, stack []byte)
	// Now is the clock of the flood limits (default time.Now).
	Now func() time.Time
}

const (
	defaultWindow = 65535 // RFC 9113, section 6.9.2
	maxWindow     = 1<<31 - 1
	minFrameSize  = 16384 // RFC 9113, section 6.5.2: the initial SETTINGS_MAX_FRAME_SIZE
	maxFrameSize  = 1<<24 - 1
)

func (o Options) withDefaults() Options {
	if o.MaxStreams == 0 {
		o.MaxStreams = 250
	}
	if o.Window < defaultWindow {
		if o.Window != 0 {
			o.Window = defaultWindow
		} else {
			o.Window = 256 << 10
		}
	}
	switch {
	case o.ConnWindow != 0:
		o.ConnWindow = max(o.ConnWindow, defaultWindow)
	case o.Plain:
		o.ConnWindow = 4 << 20
	default:
		o.ConnWindow = 1 << 20
	}
	if o.MaxBuffered == 0 {
		o.MaxBuffered = 16 << 20
	}
	if o.MaxHead == 0 {
		o.MaxHead = 64 << 10
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
