package topology

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/weftmesh/weft/bench/app"
	"github.com/weftmesh/weft/internal/freeport"
)

// ErrMissing means that a peer's program is not on this machine; the text says
// what to do.
var ErrMissing = errors.New("not installed")

// World is what all peers share: the application, the certificates, the ports.
type World struct {
	dir      string
	ports    freeport.Ports
	PKI      PKI
	Counters *app.Counters
	App      map[app.Kind]string // where the application listens
	app      *Process
	closed   bool
}

// NewWorld starts the application, which is self with app.Role as its first
// argument. Files go to the folder dir, which Close leaves alone.
func NewWorld(ctx context.Context, dir, self string) (*World, error) {
	w := &World{dir: dir, App: map[app.Kind]string{}}
	var err error
	if w.PKI, err = NewPKI(dir); err != nil {
		return nil, err
	}
	counters := filepath.Join(dir, "counters")
	if w.Counters, err = app.OpenCounters(counters); err != nil {
		return nil, err
	}
	for _, k := range app.Kinds() {
		p, err := w.ports.Next()
		if err != nil {
			return nil, err
		}
		w.App[k] = loopback(p)
	}
	if w.app, err = start(dir, "app", []string{"GOMAXPROCS=1"}, append([]string{self}, app.Args(counters, w.App)...)...); err != nil {
		return nil, errors.Join(err, w.Counters.Close())
	}
	for _, a := range w.App {
		if err := w.app.await(ctx, 10*time.Second, func() bool { return accepts(ctx, a) }); err != nil {
			w.Close()
			return nil, err
		}
	}
	return w, nil
}

// Close ends the application.
func (w *World) Close() {
	if w.closed {
		return
	}
	w.closed = true
	w.app.Stop()
	_ = w.Counters.Close() // the file goes with the folder
}

// Pair is one peer's two sidecars.
type Pair struct {
	Peer     string
	Version  string
	At       map[app.Kind]string // where the load finds the outbound sidecar
	Admin    [2]string           // of ours: the admin addresses of the outbound and the inbound sidecar
	Out, In  *Process
	others   []*Process
	closed   bool
	Small    bool // it cannot carry large bodies
	External bool // no sidecar at all: the load talks to the application
}

// Direct is the absence of sidecars.
func (w *World) Direct(name string) *Pair { return &Pair{Peer: name, At: w.App, External: true} }

// CPU is what both sidecars have used so far.
func (p *Pair) CPU() (time.Duration, error) {
	if p.External {
		return 0, nil
	}
	out, err := p.Out.CPU()
	if err != nil {
		return 0, err
	}
	in, err := p.In.CPU()
	return out + in, err
}

// RSS is the resident memory of both sidecars in MiB.
func (p *Pair) RSS() (out, in float64, err error) {
	if p.External {
		return 0, 0, nil
	}
	if out, err = p.Out.RSS(); err != nil {
		return 0, 0, err
	}
	in, err = p.In.RSS()
	return out, in, err
}

// Close ends the sidecars.
func (p *Pair) Close() {
	if p.closed {
		return
	}
	p.closed = true
	for _, x := range append([]*Process{p.Out, p.In}, p.others...) {
		x.Stop()
	}
}

func (w *World) folder(name string) (string, error) {
	d := filepath.Join(w.dir, name)
	return d, os.MkdirAll(d, 0o700)
}

// kindPorts gives each kind a port.
func (w *World) kindPorts(kinds []app.Kind) (map[app.Kind]int, error) {
	m := map[app.Kind]int{}
	for _, k := range kinds {
		p, err := w.ports.Next()
		if err != nil {
			return nil, err
		}
		m[k] = p
	}
	return m, nil
}

// sidecarPorts gives each kind a port at the inbound and at the outbound sidecar.
func (w *World) sidecarPorts(kinds []app.Kind) (in, out map[app.Kind]int, err error) {
	if in, err = w.kindPorts(kinds); err != nil {
		return nil, nil, err
	}
	out, err = w.kindPorts(kinds)
	return in, out, err
}

func addresses(ports map[app.Kind]int) map[app.Kind]string {
	m := map[app.Kind]string{}
	for k, p := range ports {
		m[k] = loopback(p)
	}
	return m
}

func accepts(ctx context.Context, address string) bool {
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// up starts both sidecars and waits until they listen.
func (p *Pair) up(ctx context.Context, dir string, env []string, in, out []string, waitFor map[app.Kind]int) error {
	var err error
	if p.In, err = start(dir, p.Peer+"-in", env, in...); err != nil {
		return err
	}
	if p.Out, err = start(dir, p.Peer+"-out", env, out...); err != nil {
		return err
	}
	for k, a := range p.At {
		if err := p.Out.await(ctx, 20*time.Second, func() bool { return accepts(ctx, a) }); err != nil {
			return fmt.Errorf("%s, outbound, %s: %w", p.Peer, k, err)
		}
	}
	for k, n := range waitFor {
		if err := p.In.await(ctx, 20*time.Second, func() bool { return accepts(ctx, loopback(n)) }); err != nil {
			return fmt.Errorf("%s, inbound, %s: %w", p.Peer, k, err)
		}
	}
	return nil
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
