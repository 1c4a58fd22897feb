package push

import (
	"crypto/sha256"
	"encoding/hex"
	"sort"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weftmesh/weft/control/snapshot"
	"github.com/weftmesh/weft/control/xds"
)

// world is the state-of-the-world dialect (xDS protocol, "Basic protocol").
type world struct {
	*session
	send  func(*discoveryv3.DiscoveryResponse) error
	types map[string]*worldType
}

type worldType struct {
	wild  bool
	named map[string]struct{}
	sent  map[string]string // version of each name that the client has
	nonce string            // of the last response
	// everNamed is set once the client has named something: from then on no
	// names means nothing, not everything.
	everNamed bool
}

var _ protocol[*discoveryv3.DiscoveryRequest] = (*world)(nil)

func (w *world) request(r *discoveryv3.DiscoveryRequest) error {
	typ := xds.Type(r.GetTypeUrl())
	if !served(typ) {
		return unknownType(r.GetTypeUrl())
	}
	t := w.types[r.GetTypeUrl()]
	first := t == nil
	if first {
		t = &worldType{named: map[string]struct{}{}, sent: map[string]string{}}
		w.types[r.GetTypeUrl()] = t
	}
	if !first && r.GetResponseNonce() != "" {
		w.answered(r.GetTypeUrl(), r.GetResponseNonce(), r.GetErrorDetail())
		// The client will ask again when it has read the newer response.
		if r.GetResponseNonce() != t.nonce {
			return nil
		}
	}
	ask, all := withoutWildcard(r.GetResourceNames())
	if err := checkNames(typ, 0, ask); err != nil {
		return err
	}
	t.everNamed = t.everNamed || len(ask) > 0 || all
	all = all || !t.everNamed && fullState(typ)
	fresh := w.subscribe(typ, t, ask, all)
	w.record.update(string(typ), func(s *TypeState) { s.Subscribed, s.Wildcard = len(t.named), t.wild })
	if first && fullState(typ) || len(fresh) > 0 {
		return w.respond(typ, t, fresh, first && fullState(typ))
	}
	return nil
}

// subscribe replaces the subscription and returns the names that are new in it.
func (w *world) subscribe(typ xds.Type, t *worldType, ask []string, all bool) []string {
	var fresh []string
	want := map[string]struct{}{}
	for _, n := range ask {
		want[n] = struct{}{}
		if _, ok := t.named[n]; !ok {
			fresh = append(fresh, n)
		}
	}
	w.holder.Hold(typ, fresh...)
	if all && !t.wild {
		fresh = append(fresh, w.holder.HoldAll(typ)...)
	} else if !all && t.wild {
		for _, n := range w.holder.ReleaseAll(typ) {
			delete(t.sent, n)
		}
	}
	t.wild = all
	for n := range t.named {
		if _, ok := want[n]; !ok {
			w.holder.Release(typ, n)
			delete(t.sent, n)
		}
	}
	t.named = want
	return fresh
}

// close has nothing to end.
func (w *world) close() {}

func (w *world) push() error {
	dirty := w.holder.TakeDirty()
	for _, typ := range xds.Types() {
		t := w.types[string(typ)]
		if t == nil || len(dirty[typ]) == 0 {
			continue
		}
		if err := w.respond(typ, t, dirty[typ], false); err != nil {
			return err
		}
	}
	return nil
}

// respond sends the names that changed. Listeners and clusters are sent whole,
// since what is missing in them counts as removed.
func (w *world) respond(typ xds.Type, t *worldType, names []string, force bool) error {
	differs := force
	changed := map[string]*snapshot.Resource{}
	for _, n := range names {
		res := w.holder.Get(typ, n)
		had, ok := t.sent[n]
		switch {
		case res != nil && had != res.Version:
			changed[n], differs = res, true
		case res == nil && ok:
			delete(t.sent, n)
			// Only a response in full can say that something is gone.
			differs = differs || fullState(typ)
		}
	}
	if !differs {
		return nil
	}
	if fullState(typ) {
		w.addAll(typ, t, changed)
	}
	list := make([]string, 0, len(changed))
	for n := range changed {
		list = append(list, n)
	}
	sort.Strings(list)
	w.nonces++
	t.nonce = strconv.FormatUint(w.nonces, 10)
	resp := &discoveryv3.DiscoveryResponse{TypeUrl: string(typ), Nonce: t.nonce, Resources: make([]*anypb.Any, 0, len(list))}
	hash, size := sha256.New(), 0
	for _, n := range list {
		t.sent[n] = changed[n].Version
		resp.Resources = append(resp.Resources, changed[n].Resource)
		size += len(changed[n].Resource.Value)
		hash.Write([]byte(n + "=" + changed[n].Version + ";"))
	}
	resp.VersionInfo = hex.EncodeToString(hash.Sum(nil)[:8])
	w.record.update(string(typ), func(s *TypeState) { s.sentNonce, s.Sent, s.Held = w.nonces, time.Now(), len(t.sent) })
	return w.timed(typ.Short(), len(list), size, func() error { return w.send(resp) })
}

func (w *world) addAll(typ xds.Type, t *worldType, into map[string]*snapshot.Resource) {
	add := func(n string) {
		if res := w.holder.Get(typ, n); res != nil {
			into[n] = res
		}
	}
	for n := range t.named {
		add(n)
	}
	if t.wild {
		for _, n := range w.holder.HoldAll(typ) {
			add(n)
		}
	}
}

// fullState says whether responses of the type hold everything subscribed to.
func fullState(t xds.Type) bool { return t == xds.ListenerType || t == xds.ClusterType }
