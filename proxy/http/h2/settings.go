package h2

import "encoding/binary"

// Settings of RFC 9113, section 6.5.2, and RFC 8441.
const (
	setHeaderTableSize = 0x1
	setEnablePush      = 0x2
	setMaxStreams      = 0x3
	setInitialWindow   = 0x4
	setMaxFrameSize    = 0x5
	setMaxHeaderList   = 0x6
	setExtendedConnect = 0x8
	// setBytes is of our own: the server carries connections without HTTP too.
	setBytes = 0xf0b7
)

// settings are one side's, as they are in force.
type settings struct {
	tableSize       uint32
	maxStreams      uint32
	window          int32
	frameSize       uint32
	headerList      uint32
	extendedConnect bool
	bytes           bool
}

// initialSettings are in force before the first SETTINGS frame. The limit of
// streams is "none" in the RFC, which recommends at least 100; until the peer
// has spoken we keep to that.
func initialSettings() settings {
	return settings{tableSize: 4096, maxStreams: 100, window: defaultWindow, frameSize: minFrameSize, headerList: 1<<32 - 1}
}

// apply reads the payload of a SETTINGS frame, whose length was checked.
func (s *settings) apply(p []byte, fromServer bool) *ConnError {
	for ; len(p) >= 6; p = p[6:] {
		v := binary.BigEndian.Uint32(p[2:])
		switch binary.BigEndian.Uint16(p) {
		case setHeaderTableSize:
			s.tableSize = v
		case setEnablePush:
			if v > 1 || (fromServer && v == 1) {
				return connErr(CodeProtocol, "SETTINGS_ENABLE_PUSH out of range")
			}
		case setMaxStreams:
			s.maxStreams = v
		case setInitialWindow:
			if v > maxWindow {
				return connErr(CodeFlowControl, "SETTINGS_INITIAL_WINDOW_SIZE out of range")
			}
			s.window = int32(v)
		case setMaxFrameSize:
			if v < minFrameSize || v > maxFrameSize {
				return connErr(CodeProtocol, "SETTINGS_MAX_FRAME_SIZE out of range")
			}
			s.frameSize = v
		case setMaxHeaderList:
			s.headerList = v
		case setExtendedConnect:
			if v > 1 || (s.extendedConnect && v == 0) {
				return connErr(CodeProtocol, "SETTINGS_ENABLE_CONNECT_PROTOCOL out of range")
			}
			s.extendedConnect = v == 1
		case setBytes:
			s.bytes = v == 1
		}
	}
	return nil
}

func appendSettings(dst []byte, pairs ...[2]uint32) []byte {
	dst = appendHeader(dst, 6*len(pairs), frameSettings, 0, 0)
	for _, p := range pairs {
		dst = binary.BigEndian.AppendUint16(dst, uint16(p[0]))
		dst = binary.BigEndian.AppendUint32(dst, p[1])
	}
	return dst
}
