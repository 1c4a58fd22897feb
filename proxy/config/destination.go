package config

import (
	"sync/atomic"

	"github.com/weftmesh/weft/proxy/route"
)

// Protocol is what a destination's port speaks.
type Protocol uint8

const (
	// TCP means bytes without meaning: TCP() decides.
	TCP Protocol = iota
	// HTTP means HTTP/1 or HTTP/2: Routes() decides for each request.
	HTTP
	// Detect means that the first bytes tell which.
	Detect
	// Named means that there is nothing but ByName(), which tells by what the
	// client asks for to which other destination it goes.
	Named
)

func (p Protocol) String() string { return [...]string{"tcp", "http", "detect", "named"}[p] }

// Destination is what to do with traffic to one name. It is a lasting handle:
// its content follows the control plane. Each method returns the content of
// the moment, which is immutable.
type Destination struct {
	key   string // name of the listener
	state atomic.Pointer[destState]
	used  atomic.Bool
	stale atomic.Bool
}

// destState is one complete content of a destination.
type destState struct {
	name     string
	protocol Protocol
	routes   *route.Table
	tcp      *route.Split
	byName   *route.ByName
}

func newDestination(key string) *Destination {
	d := &Destination{key: key}
	d.state.Store(&destState{name: key})
	return d
}

// Key is the name that the destination was asked for by.
func (d *Destination) Key() string { return d.key }

// Name is <host>:<port> of the service, for telemetry.
func (d *Destination) Name() string { return d.state.Load().name }

// Protocol is what the port speaks.
func (d *Destination) Protocol() Protocol { return d.state.Load().protocol }

// Routes is the rules for HTTP; nil where the protocol is TCP.
func (d *Destination) Routes() *route.Table {
	d.touch()
	return d.state.Load().routes
}

// TCP is the choice of backends for connections without HTTP; nil where the
// protocol is HTTP.
func (d *Destination) TCP() *route.Split {
	d.touch()
	return d.state.Load().tcp
}

// ByName finds other destinations by name; nil where the protocol is not Named.
func (d *Destination) ByName() *route.ByName {
	d.touch()
	return d.state.Load().byName
}

// Stale says that the destination was given up, because nobody used it for
// long or because it ceased to exist. Whoever holds it asks the Store again
// before the next use.
func (d *Destination) Stale() bool { return d.stale.Load() }

// touch keeps the destination from being unsubscribed. It writes only once in
// each period, so that a hot destination stays in the cache of its core.
func (d *Destination) touch() {
	if !d.used.Load() {
		d.used.Store(true)
	}
}
