package linkerd

import (
	"time"

	"github.com/weftmesh/weft/control/problem"
	"github.com/weftmesh/weft/control/translate/fragment"
	"github.com/weftmesh/weft/control/world"
	"github.com/weftmesh/weft/internal/linkerdapi"
	"github.com/weftmesh/weft/mesh"
)

// profile is a ServiceProfile of a service that exists.
type profile struct {
	item    world.Item[*linkerdapi.ServiceProfile]
	service *mesh.Service
	// scope is the namespace of the clients; empty means all.
	scope string
}

func (t *translator) profiles() {
	var list []profile
	general := map[mesh.Ref]profile{}
	for _, item := range byAge(t.w.ServiceProfiles) {
		s := t.serviceOf(item.Obj.Name)
		if s == nil {
			t.problem(problem.ProfileService, item.Origin, "metadata.name", at("%s is not the DNS name of a service of the cluster; the profile is not in effect", item.Obj.Name),
				"name it like api.production.svc.cluster.local, or create the Service")
			continue
		}
		p := profile{item: item, service: s}
		if item.Obj.Namespace != s.Namespace {
			p.scope = item.Obj.Namespace
		} else {
			general[s.Ref] = p
		}
		list = append(list, p)
	}
	for _, p := range list {
		if p.scope != "" {
			if g, ok := general[p.service.Ref]; ok {
				t.problem(problem.ProfileReplacedForSome, g.item.Origin, "metadata.name", at("for clients of namespace %s %s takes its place", p.scope, p.item.Origin), "")
			}
		}
		t.profile(p, general)
	}
}

func (t *translator) profile(p profile, general map[mesh.Ref]profile) {
	spec, o := &p.item.Obj.Spec, p.item.Origin
	ports := httpPorts(p.service)
	switch {
	case p.service.Kind == mesh.ExternalName || p.service.Kind == mesh.Headless:
		t.problem(problem.ProfileIneffective, o, "metadata.name", at("service %s is of kind %s; the profile is not in effect", p.service.Ref, p.service.Kind), "use a Service with a cluster address")
		return
	case len(ports) == 0 && len(spec.Routes) > 0:
		t.problem(problem.ProfileIneffective, o, "spec.routes", at("no port of service %s can be HTTP as its protocol is declared; the routes are not in effect", p.service.Ref), "declare the port with appProtocol: http")
	}
	if p.scope != "" && len(spec.OpaquePorts) > 0 {
		t.problem(problem.ProfileIneffective, o, "spec.opaquePorts", "opaque ports of some clients cannot be told from those of all; they are not in effect", "say them in the profile in the service's namespace")
	}
	budget := budgetOf(spec)
	for i := range spec.Routes {
		r, where := &spec.Routes[i], at("spec.routes[%d]", i)
		matches, ok := alternatives(r.Condition)
		if !ok {
			t.problem(problem.ProfileCondition, o, where+".condition", at("it comes to more than %d alternatives, or to none at all; the route is not in effect", maxAlternatives), "write it with fewer any, all and not")
			continue
		}
		policy := t.routePolicy(r, where, o, budget)
		for _, port := range ports {
			t.out.Overlays = append(t.out.Overlays, fragment.Overlay{
				Service: p.service.Ref, Port: port.Number, Scope: p.scope, Matches: matches, Policy: policy, Origin: o, Field: where,
				Created: p.item.Obj.CreationTimestamp.Time, Code: string(problem.PolicySaidElsewhere), Name: r.Name, Group: group,
			})
		}
	}
	if len(spec.Routes) == 0 && p.scope != "" {
		// It says nothing, and so takes what the general one says away.
		for _, port := range ports {
			t.out.Overlays = append(t.out.Overlays, fragment.Overlay{Service: p.service.Ref, Port: port.Number, Scope: p.scope, Origin: o, Field: "metadata.name",
				Created: p.item.Obj.CreationTimestamp.Time, Code: string(problem.PolicySaidElsewhere), Name: defaultName, Group: group})
		}
	}
	t.overrides(p, general)
}

// group is that of the overlays of profiles, of which those of a scope take the
// place of those for all.
const group = "ServiceProfile"

// defaultName is of requests that no route of a profile describes.
const defaultName = "default"

// Linkerd's defaults of a retry budget.
const (
	defaultRatio        = 0.2
	defaultMinPerSecond = 10
	defaultTTL          = 10 * time.Second
)

// maxRetries is where a profile leaves the number of retries to its budget.
const maxRetries = 10

func budgetOf(spec *linkerdapi.ProfileSpec) *mesh.RetryBudget {
	b := spec.RetryBudget
	if b == nil {
		return &mesh.RetryBudget{Ratio: defaultRatio, MinPerSecond: defaultMinPerSecond, TTL: mesh.Duration(defaultTTL)}
	}
	ttl, _ := time.ParseDuration(b.TTL) // checked when it was decoded
	return &mesh.RetryBudget{Ratio: b.RetryRatio, MinPerSecond: uint32(b.MinRetriesPerSecond), TTL: mesh.Duration(ttl)}
}

func (t *translator) routePolicy(r *linkerdapi.Route, where string, o mesh.Origin, budget *mesh.RetryBudget) mesh.RoutePolicy {
	var p mesh.RoutePolicy
	p.Classes = classes(r.ResponseClasses, o.At(where+".responseClasses"))
	// 0 is Linkerd's word for none said.
	if d, _ := time.ParseDuration(r.Timeout); d > 0 {
		p.Timeouts = mesh.Timeouts{Request: mesh.After(d), Origin: o.At(where + ".timeout")}
	}
	retryable, said, limit := t.retries(r, where, o)
	if !said {
		return p
	}
	p.Retry = &mesh.Retry{Attempts: limit, Budget: budget, Origin: o.At(where + ".isRetryable")}
	if r.Retries != nil {
		p.Retry.Origin = o.At(where + ".retries")
	}
	if retryable {
		p.Retry.On, p.Retry.Statuses = failures(r.ResponseClasses)
	} else {
		// What was not processed is no retry to the application.
		p.Retry.On = []mesh.RetryCondition{mesh.OnConnectFailure, mesh.OnRefusedStream}
	}
	return p
}

// retries reads both forms: isRetryable of the route, and retries.isRetryable
// with retries.maxRetries; the latter decides. A route of which neither is said
// leaves retries to others.
func (t *translator) retries(r *linkerdapi.Route, where string, o mesh.Origin) (retryable, said bool, limit uint32) {
	said = r.IsRetryable != nil
	retryable = said && *r.IsRetryable
	limit = maxRetries
	if long := r.Retries; long != nil {
		if long.IsRetryable != nil {
			if r.IsRetryable != nil && *r.IsRetryable != *long.IsRetryable {
				t.problem(problem.ProfileContradiction, o, where+".isRetryable", "retries.isRetryable says the contrary, and is in effect", "say it once")
			}
			retryable, said = *long.IsRetryable, true
		}
		if long.MaxRetries != nil {
			if limit = uint32(*long.MaxRetries); !retryable && limit > 0 {
				limit = maxRetries
				t.problem(problem.ProfileContradiction, o, where+".retries.maxRetries", "the route is not retryable, so that it has no effect", "add isRetryable: true")
			}
		}
	}
	return retryable, said, limit
}
