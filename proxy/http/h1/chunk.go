package h1

import (
	"bytes"

	"github.com/weftmesh/weft/proxy/http"
)

// Limits of chunked framing (RFC 9112 section 7.1).
const (
	maxChunkLine = 1 << 10  // one chunk's size and extensions
	maxChunkExt  = 16 << 10 // all extensions of one body

	plainChunkLine = 17 // the longest line without extensions
	MaxTrailers    = 16 << 10
)

// chunkLine parses "size [;extensions] CRLF" at the beginning of b. n is its
// length, 0 when it is incomplete.
func chunkLine(b []byte) (size int64, n int, err *Error) {
	eol := bytes.IndexByte(b, '\n')
	line := b
	if eol >= 0 {
		if eol == 0 || b[eol-1] != '\r' {
			return 0, 0, ErrBareLF
		}
		line = b[:eol-1]
	}
	if len(line) > maxChunkLine {
		return 0, 0, ErrChunkExt
	}
	i := 0
	for ; i < len(line); i++ {
		d := unhex(line[i])
		if d < 0 {
			break
		}
		if i == 15 {
			return 0, 0, ErrChunkSize
		}
		size = size<<4 | int64(d)
	}
	if eol < 0 {
		// Refuse at once what can never become a size.
		if i == 0 && len(line) > 0 {
			return 0, 0, ErrChunkSize
		}
		return 0, 0, nil
	}
	if i == 0 {
		return 0, 0, ErrChunkSize
	}
	ext := line[i:]
	for len(ext) > 0 && (ext[0] == ' ' || ext[0] == '\t') {
		ext = ext[1:]
	}
	if len(ext) > 0 && ext[0] != ';' || len(ext) == 0 && i < len(line) || !all(ext, isValue) {
		return 0, 0, ErrChunkSize
	}
	return size, eol + 1, nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// trailerLines parses the trailer section with its empty line; n is 0 when it is
// incomplete. Fields that would change how a message is framed or routed are
// refused (RFC 9110 section 6.5.1).
func trailerLines(b []byte, fields []http.Field) (_ []http.Field, n int, err *Error) {
	end := 0
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		return fields, 2, nil
	}
	if i := bytes.Index(b, crlf2); i >= 0 {
		end = i + 2
	}
	if end == 0 {
		if len(b) > MaxTrailers {
			return fields, 0, ErrTrailersLong
		}
		return fields, 0, nil
	}
	if end > MaxTrailers {
		return fields, 0, ErrTrailersLong
	}
	for l := b[:end]; len(l) > 0; {
		eol := bytes.IndexByte(l, '\n')
		if eol < 1 || l[eol-1] != '\r' {
			return fields, 0, ErrTrailer
		}
		name, value, e := splitLine(l[:eol-1])
		if e != nil || own(name) != fieldKeep || len(fields) >= MaxFields {
			return fields, 0, ErrTrailer
		}
		fields = append(fields, http.Field{Name: name, Value: value})
		l = l[eol+1:]
	}
	return fields, end + 2, nil
}
