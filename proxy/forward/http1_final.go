package forward

import (
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/http/h1"
	"github.com/weftmesh/weft/proxy/upstream"
)

// maxInterim bounds the 1xx responses before a final one.
const maxInterim = 64

var (
	errUnasked = &h1.Error{Status: 502, Reason: "101 without a request for another protocol"}
	errInterim = &h1.Error{Status: 502, Reason: "too many interim responses"}
)

// passer is whose response is read.
type passer interface {
	// interim passes the 1xx response that was read on, at once.
	interim() error
}

// readFinal reads the head of the final response to a request of the method
// into resp, and has interim ones passed on by to. n is the head's length; it is
// not discarded yet. whole says that all of the request was written, upgrade
// that it asked for another protocol.
func readFinal(up *upstream.HTTP1, to passer, resp *http.Response, method []byte, whole, upgrade bool) (n int, rf h1.Framing, err error) {
	if up.Duplex {
		if whole {
			if err = up.Flush(); err != nil {
				return 0, rf, err
			}
		}
		err = up.Fill()
	} else {
		err = up.FillReply()
	}
	for interim := 0; ; {
		if err != nil {
			return 0, rf, err
		}
		n, rf, err = h1.ParseResponse(up.Buffered(), method, resp)
		switch {
		case err != nil:
			return 0, rf, err
		case n == 0:
			err = up.Fill()
			continue
		case resp.Status == 101 && !upgrade:
			// What follows is not HTTP to the server, and would be to the client.
			return 0, rf, errUnasked
		case resp.Status >= 200 || resp.Status == 101:
			return n, rf, nil
		}
		if interim++; interim > maxInterim {
			return 0, rf, errInterim
		}
		if err = to.interim(); err != nil {
			return 0, rf, err
		}
		up.Discard(n)
	}
}
