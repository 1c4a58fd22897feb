package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"
)

const (
	// drainTick is how often it is checked whether the application is gone.
	drainTick = 200 * time.Millisecond
	// probeWithin bounds the connect that tells whether the application listens.
	probeWithin = 150 * time.Millisecond
	// settled is how many looks in a row must find it gone.
	settled = 2
)

// drain is the end of a proxy: it serves on, in both directions, until the
// application is gone.
type drain struct {
	// ports are the application's listening addresses as far as they are known.
	ports func() []netip.AddrPort
	// carried is how many requests and opaque connections are under way.
	carried func() int64
	// limit bounds the whole; 0 is no bound.
	limit time.Duration
	// ended says that the application has ended already, as a native sidecar's
	// always has.
	ended bool
	log   *slog.Logger
}

// wait returns when there is nothing left to serve, the limit is over, or again
// is signalled.
func (d *drain) wait(ctx context.Context, again <-chan struct{}) {
	began := time.Now()
	var late <-chan time.Time
	if d.limit > 0 {
		timer := time.NewTimer(d.limit)
		defer timer.Stop()
		late = timer.C
	}
	t := time.NewTicker(drainTick)
	defer t.Stop()
	for gone := 0; ; {
		if d.carried() == 0 && (d.ended || d.deaf(ctx)) {
			if gone++; gone >= settled {
				d.log.Info("drained: the application is gone", "after", time.Since(began).Round(time.Millisecond))
				return
			}
		} else {
			gone = 0
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
			d.log.Info("draining cut short by a second signal", "carried", d.carried())
			return
		case <-late:
			d.log.Info("draining ended by its time limit", "limit", d.limit, "carried", d.carried())
			return
		case <-t.C:
		}
	}
}

// deaf says that the application's ports are known, and that each of them
// refuses connections.
func (d *drain) deaf(ctx context.Context) bool {
	ports := d.ports()
	for _, a := range ports {
		dialer := net.Dialer{Timeout: probeWithin}
		c, err := dialer.DialContext(ctx, "tcp", a.String())
		if err == nil {
			c.Close()
			return false
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return false
		}
	}
	return len(ports) > 0
}
