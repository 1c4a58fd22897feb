package forward

import (
	"context"
	"time"

	"github.com/weftmesh/weft/proxy/conn"
	"github.com/weftmesh/weft/proxy/sniff"
)

// refuseWithin bounds how long a client that is to be refused may take to show
// that it would understand an answer.
const refuseWithin = 500 * time.Millisecond

// Refuse tells a client why its connection is not served, where it speaks
// HTTP/1, and closes. Anybody else is reset.
func Refuse(ctx context.Context, c *conn.Conn, d *Downstream, f *Failure) {
	d.accepted(c)
	defer c.Close()
	var m Memory
	got, err := Detect(ctx, c, &m, refuseWithin, nil)
	if err != nil || got.Kind != sniff.HTTP1 {
		c.Abort()
		return
	}
	s := &http1{c: c, d: d, guard: d.Watch.add(c, d.Limits)}
	defer d.Watch.remove(s.guard)
	w := works.Get().(*work)
	defer w.free()
	if _, err := s.readHead(w, time.Now()); err != nil {
		s.refuse(w, err)
		return
	}
	s.guard.rest()
	if s.write(w, f, true, string(w.req.Method) == string(methodHEAD)) == nil {
		s.linger()
	}
}
