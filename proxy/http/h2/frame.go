package h2

import "encoding/binary"

// frameType is a frame type of RFC 9113, section 6.
type frameType uint8

const (
	frameData         frameType = 0x0
	frameHeaders      frameType = 0x1
	framePriority     frameType = 0x2
	frameReset        frameType = 0x3
	frameSettings     frameType = 0x4
	framePushPromise  frameType = 0x5
	framePing         frameType = 0x6
	frameGoAway       frameType = 0x7
	frameWindowUpdate frameType = 0x8
	frameContinuation frameType = 0x9
)

const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// frameHeaderLen is the length of every frame's header, in bytes.
const frameHeaderLen = 9

// preface is what a client sends first (RFC 9113, section 3.4).
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// frameHeader is the header of a frame (RFC 9113, section 4.1).
type frameHeader struct {
	length uint32 // of the payload, in bytes
	typ    frameType
	flags  uint8
	stream uint32
}

func (h frameHeader) has(flag uint8) bool { return h.flags&flag != 0 }

// parseHeader reads the header at the start of b, which holds at least
// frameHeaderLen bytes. The reserved bit is ignored.
func parseHeader(b []byte) frameHeader {
	return frameHeader{
		length: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
		typ:    frameType(b[3]),
		flags:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & maxWindow,
	}
}

// check refuses what is wrong with a frame whatever its payload: lengths and
// stream numbers that its type does not allow (RFC 9113, section 6).
func (h frameHeader) check(limit uint32) *ConnError {
	if h.length > limit {
		return connErr(CodeFrameSize, "frame exceeds SETTINGS_MAX_FRAME_SIZE")
	}
	switch h.typ {
	case frameData, frameHeaders, frameContinuation, framePriority, frameReset:
		if h.stream == 0 {
			return connErr(CodeProtocol, "frame needs a stream")
		}
	case frameSettings, framePing, frameGoAway:
		if h.stream != 0 {
			return connErr(CodeProtocol, "frame belongs to the connection")
		}
	}
	switch h.typ {
	case framePriority:
		if h.length != 5 {
			return connErr(CodeFrameSize, "PRIORITY of wrong length")
		}
	case frameReset, frameWindowUpdate:
		if h.length != 4 {
			return connErr(CodeFrameSize, "RST_STREAM or WINDOW_UPDATE of wrong length")
		}
	case framePing:
		if h.length != 8 {
			return connErr(CodeFrameSize, "PING of wrong length")
		}
	case frameGoAway:
		if h.length < 8 {
			return connErr(CodeFrameSize, "GOAWAY is too short")
		}
	case frameSettings:
		if h.length%6 != 0 || (h.has(flagAck) && h.length != 0) {
			return connErr(CodeFrameSize, "SETTINGS of wrong length")
		}
	case framePushPromise:
		return connErr(CodeProtocol, "PUSH_PROMISE was not allowed")
	}
	return nil
}

// headersPayload takes the padding and the priority fields, which are
// deprecated and ignored, off a HEADERS payload (RFC 9113, section 6.2).
func (h frameHeader) headersPayload(p []byte) (block []byte, err *ConnError) {
	if p, err = h.unpad(p); err != nil {
		return nil, err
	}
	if h.has(flagPriority) {
		if len(p) < 5 {
			return nil, connErr(CodeFrameSize, "HEADERS is too short for its priority")
		}
		p = p[5:]
	}
	return p, nil
}

func (h frameHeader) unpad(p []byte) ([]byte, *ConnError) {
	if !h.has(flagPadded) {
		return p, nil
	}
	if len(p) == 0 {
		return nil, connErr(CodeFrameSize, "padded frame without pad length")
	}
	pad := int(p[0])
	if p = p[1:]; pad > len(p) {
		return nil, connErr(CodeProtocol, "padding is longer than the frame")
	}
	return p[:len(p)-pad], nil
}

func appendHeader(dst []byte, length int, t frameType, flags uint8, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(t), flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendReset(dst []byte, stream uint32, c Code) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameReset, 0, stream), uint32(c))
}

func appendWindowUpdate(dst []byte, stream, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameWindowUpdate, 0, stream), n)
}

func appendPing(dst []byte, flags uint8, data [8]byte) []byte {
	return append(appendHeader(dst, 8, framePing, flags, 0), data[:]...)
}

func appendGoAway(dst []byte, last uint32, c Code, debug string) []byte {
	dst = appendHeader(dst, 8+len(debug), frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	dst = binary.BigEndian.AppendUint32(dst, uint32(c))
	return append(dst, debug...)
}

// appendBlock frames a header block as HEADERS and, above the peer's frame
// size, CONTINUATION.
func appendBlock(dst, block []byte, stream uint32, end bool, limit int) []byte {
	t, flags := frameHeaders, uint8(0)
	if end {
		flags = flagEndStream
	}
	for {
		n := min(len(block), limit)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		dst = append(appendHeader(dst, n, t, flags, stream), block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return dst
		}
		t, flags = frameContinuation, 0
	}
}
