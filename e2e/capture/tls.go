package capture

import (
	"encoding/binary"
	"fmt"
)

// TLS is what can be read of a flow without keys.
type TLS struct {
	Handshakes  int    // records in the clear: a hello
	Application int    // encrypted records
	Version     uint16 // that the server chose, 0x0304 for TLS 1.3; 0 if the flow is the client's
}

// Record types and the extension that holds the version (RFC 8446).
const (
	recordChangeCipher = 20
	recordAlert        = 21
	recordHandshake    = 22
	recordApplication  = 23
	serverHello        = 2
	supportedVersions  = 43
)

// ReadTLS reads a flow as TLS records from its first byte to its last. An
// error says where there is something else.
func ReadTLS(b []byte) (TLS, error) {
	var t TLS
	for at := 0; at < len(b); {
		rest := b[at:]
		if len(rest) < 5 {
			return t, nil // the recording ended in the middle of a record
		}
		kind, size := rest[0], int(binary.BigEndian.Uint16(rest[3:]))
		if kind < recordChangeCipher || kind > recordApplication || rest[1] != 3 || size > 16384+256 {
			return t, fmt.Errorf("byte %d is no TLS record: % x", at, rest[:5])
		}
		body := rest[5:min(5+size, len(rest))]
		switch kind {
		case recordHandshake:
			t.Handshakes++
			if len(body) > 4 && body[0] == serverHello {
				t.Version = chosen(body[4:])
			}
		case recordApplication:
			t.Application++
		}
		at += 5 + size
	}
	return t, nil
}

// chosen reads the version out of a ServerHello.
func chosen(b []byte) uint16 {
	const random = 2 + 32
	if len(b) < random+1 {
		return 0
	}
	version := binary.BigEndian.Uint16(b)
	at := random + 1 + int(b[random]) + 2 + 1 // session, suite, compression
	if at+2 > len(b) {
		return version
	}
	for ext := b[at+2:]; len(ext) >= 4; {
		kind, size := binary.BigEndian.Uint16(ext), int(binary.BigEndian.Uint16(ext[2:]))
		if 4+size > len(ext) {
			break
		}
		if kind == supportedVersions && size == 2 {
			return binary.BigEndian.Uint16(ext[4:])
		}
		ext = ext[4+size:]
	}
	return version
}
