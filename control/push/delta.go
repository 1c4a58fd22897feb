package push

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/xds"
)

// wildcard is the name that stands for all.
const wildcard = "*"

// maxResponse bounds the encoded resources of one response, so that clients
// with a limit on messages (4 MiB in gRPC) can read it.
const maxResponse = 1 << 20

// delta is the incremental dialect (xDS protocol, "Incremental xDS").
type delta struct {
	*session
	send  func(*discoveryv3.DeltaDiscoveryResponse) error
	types map[string]*deltaType
}

// deltaType is the subscription to one type.
type deltaType struct {
	wild  bool
	named map[string]struct{}
	// sent is the version that the client has of each name; "" means that it
	// was told that there is none.
	sent map[string]string
	// siblings is the list that the client was told, where it asked for one.
	siblings *snapshot.Resource
}

var _ protocol[*discoveryv3.DeltaDiscoveryRequest] = (*delta)(nil)

func (d *delta) request(r *discoveryv3.DeltaDiscoveryRequest) error {
	typ := xds.Type(r.GetTypeUrl())
	if !served(typ) {
		return unknownType(r.GetTypeUrl())
	}
	if r.GetResponseNonce() != "" {
		d.answered(r.GetTypeUrl(), r.GetResponseNonce(), r.GetErrorDetail())
	}
	t := d.types[r.GetTypeUrl()]
	first := t == nil
	if first {
		t = &deltaType{named: map[string]struct{}{}, sent: map[string]string{}}
		d.types[r.GetTypeUrl()] = t
	}
	ask, wantsAll := withoutWildcard(r.GetResourceNamesSubscribe())
	drop, dropsAll := withoutWildcard(r.GetResourceNamesUnsubscribe())
	// A first request without names means all of the type (legacy wildcard).
	wantsAll = wantsAll || first && len(ask) == 0 && len(drop) == 0 && !dropsAll

	if err := checkNames(typ, len(t.named), ask); err != nil {
		return err
	}
	d.unsubscribe(typ, t, drop, dropsAll)
	pending := d.subscribe(typ, t, ask, wantsAll)
	if t.wild {
		// What is no longer named but still covered by the wildcard is told again.
		pending = append(pending, drop...)
	}
	if first {
		pending = append(pending, d.resume(typ, t, r.GetInitialResourceVersions())...)
	}
	d.record.update(string(typ), func(s *TypeState) { s.Subscribed, s.Wildcard = len(t.named), t.wild })
	if len(pending) == 0 && !wantsAll {
		return nil
	}
	return d.flush(map[xds.Type][]string{typ: pending}, wantsAll)
}

// subscribe holds the names and returns those to answer. A name that is asked
// for again is answered again.
func (d *delta) subscribe(typ xds.Type, t *deltaType, ask []string, all bool) []string {
	d.holder.Hold(typ, ask...)
	pending := ask
	var fresh []string
	for _, n := range ask {
		if _, had := t.named[n]; !had {
			fresh = append(fresh, n)
		}
		t.named[n] = struct{}{}
		delete(t.sent, n)
	}
	if typ == xds.ListenerType && d.client.Kind == xds.Weft {
		if slices.Contains(fresh, xds.Siblings) {
			// As it was before this client added to it.
			t.siblings = d.list()
		}
		d.server.siblings.begin(d.kin, fresh...)
	}
	if all {
		t.wild = true
		pending = append(pending, d.holder.HoldAll(typ)...)
	}
	return pending
}

// resume takes the versions that a client kept over a broken stream. What it
// still has in the same version is not sent again; what it has under a wildcard
// and is gone is removed.
func (d *delta) resume(typ xds.Type, t *deltaType, versions map[string]string) []string {
	var gone []string
	for name, v := range versions {
		if _, ok := t.named[name]; ok {
			t.sent[name] = v
		} else if t.wild {
			t.sent[name] = v
			if d.holder.Get(typ, name) == nil {
				gone = append(gone, name)
			}
		}
	}
	return gone
}

func (d *delta) unsubscribe(typ xds.Type, t *deltaType, drop []string, all bool) {
	if all && t.wild {
		t.wild = false
		for _, n := range d.holder.ReleaseAll(typ) {
			delete(t.sent, n)
		}
	}
	var given []string
	for _, n := range drop {
		if _, had := t.named[n]; had {
			given = append(given, n)
		}
		delete(t.named, n)
		delete(t.sent, n)
	}
	if typ == xds.ListenerType && d.client.Kind == xds.Weft {
		d.server.siblings.end(d.kin, given...)
	}
	d.holder.Release(typ, drop...)
}

// close tells that the client uses nothing any more.
func (d *delta) close() {
	if t := d.types[string(xds.ListenerType)]; t != nil && d.client.Kind == xds.Weft {
		d.server.siblings.end(d.kin, slices.Collect(maps.Keys(t.named))...)
	}
}

// list makes the client's list of siblings; without one it is told that there
// is none.
func (d *delta) list() *snapshot.Resource {
	names := d.server.siblings.list(d.kin)
	if len(names) == 0 {
		return nil
	}
	res, err := siblingsResource(names)
	if err != nil {
		d.server.settings.Log.Error("what the siblings use cannot be told", "node", d.record.proxy.Node, "error", err)
		return nil
	}
	return res
}

func (d *delta) push() error { return d.flush(d.holder.TakeDirty(), false) }

// flush brings the client up to date with the given names: first what is new or
// changed, in the order of xds.Types, then what is gone, the other way round,
// so that nothing refers to what is not there.
func (d *delta) flush(names map[xds.Type][]string, evenIfEmpty bool) error {
	order := xds.Types()
	later := map[xds.Type][]string{}
	for _, typ := range order {
		t := d.types[string(typ)]
		if t == nil || len(names[typ]) == 0 && !evenIfEmpty {
			continue
		}
		if _, asked := names[typ]; !asked {
			continue
		}
		changed, unknown, gone := d.compare(typ, t, names[typ])
		later[typ] = gone
		if len(changed)+len(unknown) > 0 || evenIfEmpty {
			if err := d.respond(typ, t, changed, unknown); err != nil {
				return err
			}
		}
		if typ == xds.ClusterType {
			d.rewarm(names, changed)
		}
	}
	for i := len(order) - 1; i >= 0; i-- {
		if gone := later[order[i]]; len(gone) > 0 {
			if err := d.respond(order[i], d.types[string(order[i])], nil, gone); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare sorts names into changed resources, names that the client never had
// and that do not exist, and names that it had and that are gone.
func (d *delta) compare(typ xds.Type, t *deltaType, names []string) (changed []*snapshot.Resource, unknown, gone []string) {
	sort.Strings(names)
	for i, name := range names {
		if i > 0 && names[i-1] == name {
			continue
		}
		res := d.holder.Get(typ, name)
		if name == xds.Siblings && typ == xds.ListenerType {
			res = t.siblings
		}
		had, told := t.sent[name]
		switch {
		case res != nil && had != res.Version:
			changed = append(changed, res)
		case res == nil && !told:
			unknown = append(unknown, name)
		case res == nil && had != "":
			gone = append(gone, name)
		}
	}
	return changed, unknown, gone
}

// rewarm has the endpoints of changed clusters sent again: Envoy warms a changed
// cluster anew and waits for them.
func (d *delta) rewarm(names map[xds.Type][]string, changed []*snapshot.Resource) {
	ends := d.types[string(xds.EndpointType)]
	if d.client.Kind != xds.Envoy || ends == nil {
		return
	}
	for _, c := range changed {
		if _, ok := ends.named[c.Name]; ok {
			delete(ends.sent, c.Name)
			names[xds.EndpointType] = append(names[xds.EndpointType], c.Name)
		}
	}
}

// respond sends resources in messages of bounded size; removals go with the last.
func (d *delta) respond(typ xds.Type, t *deltaType, resources []*snapshot.Resource, removed []string) error {
	for {
		n, size := 0, 0
		for n < len(resources) && (n == 0 || size+len(resources[n].Resource.Value) <= maxResponse) {
			size += len(resources[n].Resource.Value)
			n++
		}
		part, last := resources[:n], n == len(resources)
		resources = resources[n:]
		d.nonces++
		resp := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: string(typ), Nonce: strconv.FormatUint(d.nonces, 10),
			SystemVersionInfo: strconv.FormatUint(d.server.settings.Store.Revision(), 10), Resources: part}
		if last {
			resp.RemovedResources = removed
		}
		d.sent(typ, t, part, resp.RemovedResources)
		if err := d.timed(typ.Short(), len(part)+len(resp.RemovedResources), size, func() error { return d.send(resp) }); err != nil {
			return err
		}
		if last {
			return nil
		}
	}
}

// sent notes what the client is about to have.
func (d *delta) sent(typ xds.Type, t *deltaType, resources []*snapshot.Resource, removed []string) {
	for _, r := range resources {
		t.sent[r.Name] = r.Version
	}
	for _, name := range removed {
		if _, ok := t.named[name]; ok {
			t.sent[name] = ""
		} else {
			delete(t.sent, name)
		}
	}
	held := 0
	for _, v := range t.sent {
		if v != "" {
			held++
		}
	}
	d.record.update(string(typ), func(s *TypeState) { s.sentNonce, s.Sent, s.Held = d.nonces, time.Now(), held })
}
