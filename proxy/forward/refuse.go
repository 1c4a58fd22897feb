package forward

import (
	"context"
	"errors"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/sniff"
)

// refuseWithin bounds how long a client that is to be refused may take to show
// that it would understand an answer.
const refuseWithin = 500 * time.Millisecond

// errRefused means that the destination has no configuration.
var errRefused = errors.New("the destination is not configured")

// Refuse tells a client why its connection is not served, where it speaks
// HTTP/1, and closes. Anybody else is reset.
func Refuse(ctx context.Context, c *conn.Conn, d *Downstream, f *Failure) {
	d.accepted(c)
	defer c.Close()
	var m Memory
	got, err := Detect(ctx, c, &m, refuseWithin, nil)
	if err != nil || got.Kind != sniff.HTTP1 {
		d.logTurned(&RefusedError{Flag: "UH", Err: errRefused})
		c.Abort()
		return
	}
	s := &http1{c: c, d: d, guard: d.Watch.add(c, d.Limits)}
	defer d.Watch.remove(s.guard)
	w := works.Get().(*work)
	defer w.free()
	start := time.Now()
	if _, err := s.readHead(w, start); err != nil {
		s.refuse(w, err)
		return
	}
	d.turnedAway(&w.req, f, start)
	s.guard.rest()
	if s.write(w, f, true, string(w.req.Method) == string(methodHEAD)) == nil {
		s.linger()
	}
}
