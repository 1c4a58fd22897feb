package upstream

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

// hosts is a resolver of several names; one that is missing cannot be resolved.
type hosts struct {
	mu   sync.Mutex
	list map[string]string
}

func (h *hosts) set(list map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = list
}

func (h *hosts) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a, ok := h.list[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, errors.New("no such host: " + host)
}

// TestSeveralNamesAreResolved: each name has endpoints of its own, with its own
// port; one that cannot be resolved takes nothing from the others.
func TestSeveralNamesAreResolved(t *testing.T) {
	h := &hosts{list: map[string]string{"a.example.com": "192.0.2.1"}}
	r := NewRegistry(Options{Resolver: h})
	t.Cleanup(r.Close)
	pick := func(c *Cluster) {
		t.Helper()
		if _, err := c.Pick(context.Background(), &Choice{}); err != nil {
			t.Fatal(err)
		}
	}
	at := func(host string, port uint16) NamedEndpoint {
		return NamedEndpoint{Host: host, EndpointSpec: EndpointSpec{Address: netip.AddrPortFrom(netip.Addr{}, port), Weight: 1}}
	}
	spec := func(list ...NamedEndpoint) Spec {
		return Spec{Name: "ext", Kind: DNS, Names: &Names{List: list}}
	}
	known := func(c *Cluster) (out []string) {
		for _, e := range c.Endpoints() {
			out = append(out, e.Address().String())
		}
		slices.Sort(out)
		return out
	}
	c := r.Apply(spec(at("none.example.com", 80)))
	if _, err := c.Pick(context.Background(), &Choice{}); !errors.Is(err, ErrNoEndpoint) || !strings.Contains(err.Error(), "none.example.com") {
		t.Fatalf("names that cannot be resolved give %v", err)
	}
	r.Apply(spec(at("a.example.com", 80), at("b.example.com", 81), at("192.0.2.7", 82)))
	pick(c)
	if got := known(c); !slices.Equal(got, []string{"192.0.2.1:80", "192.0.2.7:82"}) {
		t.Errorf("endpoints: %v", got)
	}
	// The same names again are no change, others are looked up at once.
	r.Apply(spec(at("a.example.com", 80), at("b.example.com", 81), at("192.0.2.7", 82)))
	if got := known(c); len(got) != 2 {
		t.Errorf("after the same: %v", got)
	}
	h.set(map[string]string{"b.example.com": "192.0.2.2"})
	r.Apply(spec(at("b.example.com", 81)))
	pick(c)
	if got := known(c); !slices.Equal(got, []string{"192.0.2.2:81"}) {
		t.Errorf("after another list: %v", got)
	}
}

// TestANameThatFailsLaterKeepsItsEndpoints: it is an error only where no name
// can be resolved.
func TestANameThatFailsLaterKeepsItsEndpoints(t *testing.T) {
	h := &hosts{list: map[string]string{"a.example.com": "192.0.2.1", "b.example.com": "192.0.2.2"}}
	r := NewRegistry(Options{Resolver: h})
	t.Cleanup(r.Close)
	names := &Names{List: []NamedEndpoint{{Host: "a.example.com"}, {Host: "b.example.com"}}}
	c := r.Apply(Spec{Name: "ext", Kind: DNS, Names: names})
	for round, list := range []map[string]string{h.list, {"a.example.com": "192.0.2.3"}, {"b.example.com": "192.0.2.4"}} {
		h.set(list)
		a, err := c.answer(context.Background(), question{names: names})
		if err != nil || len(a.Endpoints) != 2 {
			t.Fatalf("round %d: %+v, %v", round, a, err)
		}
		if round == 2 && (a.Endpoints[0].Address.Addr().String() != "192.0.2.3" || a.Endpoints[1].Address.Addr().String() != "192.0.2.4") {
			t.Errorf("the last: %+v", a.Endpoints)
		}
	}
	h.set(nil)
	if _, err := c.answer(context.Background(), question{names: names}); err == nil {
		t.Error("no name is resolved, and that is no error")
	}
}

// gate is a resolver that answers when it is told to.
type gate struct {
	asked chan string
	tell  chan netip.Addr // an invalid one is an error
}

func (g *gate) Lookup(_ context.Context, host string) ([]netip.Addr, error) {
	g.asked <- host
	if a := <-g.tell; a.IsValid() {
		return []netip.Addr{a}, nil
	}
	return nil, errors.New("no such host: " + host)
}

// TestNoRequestGoesToTheNameOfBefore: while another name is looked up, and when
// it cannot be resolved, nothing goes where the former name led.
func TestNoRequestGoesToTheNameOfBefore(t *testing.T) {
	for name, again := range map[string]func(host string) Spec{
		"one": func(host string) Spec { return Spec{Name: "ext", Kind: DNS, Host: host, Port: 80} },
		"several": func(host string) Spec {
			return Spec{Name: "ext", Kind: DNS, Names: &Names{List: []NamedEndpoint{{Host: host}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := &gate{make(chan string), make(chan netip.Addr)}
			r := NewRegistry(Options{Resolver: g})
			t.Cleanup(r.Close)
			type picked struct {
				e   *Endpoint
				err error
			}
			var c *Cluster
			pick := func() chan picked {
				out := make(chan picked, 1)
				go func() {
					e, err := c.Pick(context.Background(), &Choice{})
					out <- picked{e, err}
				}()
				return out
			}
			c = r.Apply(again("a.example.com"))
			first := pick()
			<-g.asked
			g.tell <- netip.MustParseAddr("192.0.2.1")
			if p := <-first; p.err != nil || p.e.Address().Addr().String() != "192.0.2.1" {
				t.Fatal(p)
			}
			r.Apply(again("b.example.com"))
			first = pick()
			<-g.asked // the lookup of the new name is under way
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if e, err := c.Pick(ctx, &Choice{}); err == nil {
				t.Errorf("while the new name is looked up: %v", e.Address())
			}
			g.tell <- netip.Addr{}
			if p := <-first; p.err == nil {
				t.Errorf("the new name cannot be resolved: %v", p.e.Address())
			}
			if e, err := c.Pick(context.Background(), &Choice{}); err == nil {
				t.Errorf("and later: %v", e.Address())
			}
		})
	}
}

// TestALateAnswerDoesNotReplaceOtherEndpoints: the cluster has got other
// endpoints while its former name was looked up.
func TestALateAnswerDoesNotReplaceOtherEndpoints(t *testing.T) {
	g := &gate{make(chan string), make(chan netip.Addr)}
	r := NewRegistry(Options{Resolver: g})
	t.Cleanup(r.Close)
	c := r.Apply(Spec{Name: "ext", Kind: DNS, Host: "a.example.com", Port: 80})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = c.Pick(context.Background(), &Choice{})
	}()
	<-g.asked
	r.Apply(Spec{Name: "ext", Kind: Pushed})
	r.SetEndpoints("ext", []EndpointSpec{{Address: netip.MustParseAddrPort("192.0.2.9:80")}})
	g.tell <- netip.MustParseAddr("192.0.2.1")
	<-done
	if e := c.Endpoints(); len(e) != 1 || e[0].Address().String() != "192.0.2.9:80" {
		t.Errorf("%v", e)
	}
}

// TestANameKeepsItsEndpointsInAnotherList while it cannot be resolved.
func TestANameKeepsItsEndpointsInAnotherList(t *testing.T) {
	h := &hosts{list: map[string]string{"a.example.com": "192.0.2.1"}}
	r := NewRegistry(Options{Resolver: h})
	t.Cleanup(r.Close)
	list := []NamedEndpoint{{Host: "a.example.com"}}
	c := r.Apply(Spec{Name: "ext", Kind: DNS, Names: &Names{List: list}})
	if _, err := c.Pick(context.Background(), &Choice{}); err != nil {
		t.Fatal(err)
	}
	h.set(nil)
	r.Apply(Spec{Name: "ext", Kind: DNS, Names: &Names{List: append([]NamedEndpoint{{Host: "b.example.com"}}, list...)}})
	if e, err := c.Pick(context.Background(), &Choice{}); err != nil || e.Address().Addr().String() != "192.0.2.1" {
		t.Error(err)
	}
}
