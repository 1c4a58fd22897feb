package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"github.com/weftmesh/weft/control/snapshot"
	manifests "github.com/weftmesh/weft/control/source/file"
	"github.com/weftmesh/weft/control/translate"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/control/xds"
	"github.com/weftmesh/weft/mesh"
	"github.com/weftmesh/weft/proxy/upstream"
)

// FuzzWhateverUsersWrite changes the objects of the translators' cases at random:
// nothing may make the control plane panic, and what it sends our proxy accepts.
// A proxy that refuses one resource goes on with an old one for ever.
func FuzzWhateverUsersWrite(f *testing.F) {
	cases, pool := usersObjects(f)
	seeds := uint64(300)
	if testing.Short() {
		seeds = 60
	}
	for n := range seeds {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		m := mutator{rnd, pool}
		objects := m.world(cases)
		acceptsAll(t, objects)
	})
}

// TestTheTranslatorsCasesAreAccepted does the same with the cases as they are.
func TestTheTranslatorsCasesAreAccepted(t *testing.T) {
	cases, _ := usersObjects(t)
	for _, objects := range cases {
		acceptsAll(t, objects)
	}
}

// usersObjects are the objects of each case, and the values of fields by name.
func usersObjects(t testing.TB) (cases [][]any, pool map[string][]any) {
	t.Helper()
	pool = map[string][]any{}
	var names []string
	for _, pattern := range []string{"*.txtar", "fields/*.txtar"} {
		list, err := filepath.Glob("../../control/translate/testdata/" + pattern)
		if err != nil || len(list) == 0 {
			t.Fatalf("no cases: %v", err)
		}
		names = append(names, list...)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var objects []any
		for _, part := range a.Files {
			if slices.Contains([]string{"mesh.yaml", "status.yaml", "endpoints.yaml", "problems.txt"}, part.Name) {
				continue
			}
			for _, doc := range strings.Split(string(part.Data), "\n---") {
				var o map[string]any
				if yaml.Unmarshal([]byte(doc), &o) == nil && o["kind"] != nil {
					objects = append(objects, o)
					collect(pool, o)
				}
			}
		}
		if len(objects) > 0 {
			cases = append(cases, objects)
		}
	}
	return cases, pool
}

// collect takes the values of all fields.
func collect(pool map[string][]any, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			pool[k] = append(pool[k], v[k])
			collect(pool, v[k])
		}
	case []any:
		for _, inner := range v {
			collect(pool, inner)
		}
	}
}

type mutator struct {
	*rand.Rand
	pool map[string][]any
}

// world takes a case, some objects of others, and changes a few things.
func (m *mutator) world(cases [][]any) []any {
	objects := clone(cases[m.IntN(len(cases))]).([]any)
	for range m.IntN(4) {
		other := cases[m.IntN(len(cases))]
		objects = append(objects, clone(other[m.IntN(len(other))]))
	}
	for range 1 + m.IntN(12) {
		o := objects[m.IntN(len(objects))].(map[string]any)
		for _, part := range []string{"spec", "metadata"} {
			if p, ok := o[part].(map[string]any); ok && (part == "spec" || m.IntN(4) == 0) {
				o[part] = m.change(part, p)
			}
		}
	}
	return objects
}

// change changes one thing in a value, or below it; each has the same chance.
func (m *mutator) change(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		n := m.IntN(max(size(v), 1))
		for _, k := range keys {
			if n -= size(v[k]); n >= 0 {
				continue
			}
			switch m.IntN(12) {
			case 0:
				delete(v, k)
			case 1:
				v[k] = m.other(k, v[k])
			default:
				v[k] = m.change(k, v[k])
			}
			break
		}
		return v
	case []any:
		n := m.IntN(max(size(v), 1))
		for i := range v {
			if n -= size(v[i]); n >= 0 {
				continue
			}
			switch m.IntN(12) {
			case 0:
				return append(v[:i:i], v[i+1:]...)
			case 1:
				return append(v, clone(v[i]))
			case 2:
				return []any{}
			}
			v[i] = m.change(name, v[i])
			break
		}
		return v
	}
	return m.other(name, v)
}

// size is the number of values that are in a value.
func size(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, inner := range v {
			n += size(inner)
		}
	case []any:
		for _, inner := range v {
			n += size(inner)
		}
	}
	return n
}

// odd are values that are seldom meant.
var odd = map[string][]any{
	"string": {"", "*", ".", "/", "*.", "*.com", "a*b", "-", "~", "0", "-1", "0s", "1ns", "-3s", "100000h", "4000000000s", "200000000000s", "0.0.0.0/0", "::/0", "::", "::ffff:10.0.0.1", "10.0.0.0/33", "fe80::1%eth0", "%", "%REQ(X", "\\1", "(", ".*", "a|b",
		"é", "A-B", "x y", "a\r\nb", "\x00", "a\x01", "\x7f", "a;b", "Host", ":path", ":authority", "connection", "/a?b=c", "//", "/..", "65536", strings.Repeat("x", 300), strings.Repeat("(a|b)", 900), "^$", "(?i)x", "~/*", "./*", "*/*", "mesh", "all"},
	"number": {0, 1, -1, 65535, 65536, 80, 99, 100, 101, 200, 404, 999, 1000, 1000001, 2147483647, -2147483648, 4294967295, 0.5, 1e300, -0.1},
}

func (m *mutator) other(name string, v any) any {
	if list := m.pool[name]; len(list) > 0 && m.IntN(3) > 0 {
		return clone(list[m.IntN(len(list))])
	}
	switch v.(type) {
	case string:
		return odd["string"][m.IntN(len(odd["string"]))]
	case float64:
		return odd["number"][m.IntN(len(odd["number"]))]
	case bool:
		return m.IntN(2) == 0
	}
	return map[string]any{}
}

func clone(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}

var usersSettings = mesh.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local", RootNamespace: "weft-system", Outbound: mesh.AllowAny, Inbound: mesh.Permissive}

// acceptsAll translates objects and reads all that their proxies would get.
func acceptsAll(t *testing.T, objects []any) {
	t.Helper()
	var events []world.Event
	for i, o := range objects {
		doc, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		list, _, _ := manifests.Decode(fmt.Sprintf("%d.json", i), doc)
		for _, x := range list {
			events = append(events, world.Put(x.Obj, x.Origin))
		}
	}
	w, sets := world.Build(usersSettings.TrustDomain, events...)
	r := translate.Build(w, usersSettings)
	for _, s := range r.Mesh.Endpoints {
		if sets[s.Key] == nil {
			sets[s.Key] = s
		}
	}
	store := snapshot.New(slog.New(slog.DiscardHandler))
	store.SetMesh(r.Mesh)
	store.SetEndpoints(sets)
	clients := []snapshot.Client{{Kind: xds.Weft, Namespace: "other"}}
	for _, x := range r.Mesh.Workloads {
		clients = append(clients, snapshot.Client{Kind: xds.Weft, Namespace: x.Namespace, Workload: x.Ref})
	}
	seen := map[string]bool{}
	for _, c := range clients {
		p := &user{t: t, mesh: r.Mesh, namespace: c.Namespace, holder: store.Attach(c, func() {}), seen: seen, asked: map[string]bool{}, objects: objects, registry: upstream.NewRegistry(upstream.Options{})}
		p.all(r.Mesh)
		p.holder.Close()
		p.registry.Close()
	}
}

// user is a proxy that asks for everything.
type user struct {
	t         *testing.T
	mesh      *mesh.Mesh
	namespace string
	holder    *snapshot.Holder
	seen      map[string]bool // resources that were read, by version
	asked     map[string]bool
	objects   []any
	registry  *upstream.Registry
}

func (u *user) all(m *mesh.Mesh) {
	u.listener(xds.VirtualInbound)
	u.listener(xds.VirtualOutbound)
	for _, s := range m.Services {
		for _, p := range s.Ports {
			u.listener(xds.HostName(strings.ToLower(strings.Replace(s.Host, "*", "x", 1)), p.Number))
			for _, a := range s.Addresses {
				u.listener(xds.AddressName(a, p.Number))
			}
			for _, n := range s.Subnets {
				u.listener(xds.AddressName(n.Addr().Next(), p.Number))
			}
		}
	}
	for _, w := range m.Workloads {
		for _, a := range w.Addresses {
			for _, p := range append([]mesh.Port{{Number: 9}}, w.Ports...) {
				u.listener(xds.AddressName(a, p.Number))
			}
		}
	}
}

// get is the body of a resource; nil where it does not exist or was read before.
func (u *user) get(typ xds.Type, name string) []byte {
	key := string(typ) + name
	if u.asked[key] {
		return nil
	}
	u.asked[key] = true
	u.holder.Hold(typ, name)
	r := u.holder.Get(typ, name)
	if r == nil {
		return nil
	}
	key += r.Version
	if u.seen[key] {
		return nil
	}
	u.seen[key] = true
	return r.Resource.Value
}

func (u *user) refused(what, name string, err error) {
	if err == nil {
		return
	}
	if !u.t.Failed() {
		docs, _ := yaml.Marshal(u.objects)
		u.t.Logf("the objects:\n%s", docs)
	}
	u.t.Errorf("%s %s: %.300s", what, name, err)
}

func (u *user) listener(name string) {
	b := u.get(xds.ListenerType, name)
	if b == nil {
		return
	}
	l, err := readListener(name, b)
	u.refused("listener", name, err)
	if err != nil || name == xds.VirtualInbound || name == xds.VirtualOutbound {
		return
	}
	in := &inputs{listener: l, clusters: map[string]*upstream.Cluster{}, budgets: budgets{}}
	if l.tcp != nil {
		u.shares(in, l.tcp.shares)
	}
	for i := range l.special {
		u.shares(in, l.special[i].tcp.shares)
	}
	if l.http != nil {
		if in.routes = l.http.inline; in.routes == nil {
			u.holder.Hold(xds.RouteType, l.http.route)
			res := u.holder.Get(xds.RouteType, l.http.route)
			if res == nil {
				u.refused("listener", name, errors.New("its routes do not exist: "+l.http.route))
				return
			}
			if in.routes, err = readRoutes(l.http.route, res.Resource.Value); err != nil {
				u.refused("routes", l.http.route, err)
				return
			}
		}
		for i := range in.routes.rules {
			rule := &in.routes.rules[i]
			u.shares(in, rule.shares)
			if rule.traffic != nil {
				for _, m := range rule.traffic.Mirrors {
					u.cluster(in, m.Name)
				}
			}
		}
	}
	st, err := compile(in, &Options{})
	u.refused("destination", name, err)
	if err == nil && st.routes != nil {
		for _, r := range st.routes.Rules {
			shortPolicies(r)
		}
	}
}

func (u *user) shares(in *inputs, list []share) {
	for i := range list {
		u.cluster(in, list[i].cluster)
	}
}

// exists says whether the client can see what the name of a cluster says: the
// host, its port, and the subset in each rule for its namespace.
func (u *user) exists(name string) bool {
	host, port, subset, ok := xds.ParseClusterName(name)
	i := slices.IndexFunc(u.mesh.Services, func(s *mesh.Service) bool { return s.Host == host })
	if !ok || i < 0 || !u.mesh.Services[i].VisibleTo(u.namespace) || u.mesh.Services[i].PortByNumber(port) == nil {
		return false
	}
	had := subset == ""
	for _, d := range u.mesh.Destinations {
		if subset != "" && d.Service == u.mesh.Services[i].Ref && (d.Scope == "" || d.Scope == u.namespace) {
			if had = d.Subset(subset) != nil; !had {
				return false
			}
		}
	}
	return had
}

func (u *user) cluster(in *inputs, name string) {
	if name == "" || name == invalidBackend || strings.HasPrefix(name, "inbound|") || name == upstream.PassthroughCluster || name == upstream.BlackHoleCluster {
		return
	}
	b := u.get(xds.ClusterType, name)
	if b == nil {
		if h := u.holder.Get(xds.ClusterType, name); h == nil && u.exists(name) {
			u.refused("cluster", name, errors.New("a route leads there, and it does not exist"))
		}
		return
	}
	c, err := readCluster(name, b)
	u.refused("cluster", name, err)
	if err != nil {
		return
	}
	shortSettings(&c.spec)
	in.clusters[name] = u.registry.Apply(c.spec)
	if c.eds == "" {
		return
	}
	if b := u.get(xds.EndpointType, c.eds); b != nil {
		a, err := readAssignment(c.eds, b)
		u.refused("endpoints", c.eds, err)
		if err == nil {
			u.registry.Assign(name, upstream.Assignment{Endpoints: a.endpoints, Overprovisioning: a.overprovisioning})
		}
	}
}
