package xds

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// Target is what a backend comes to.
type Target struct {
	// Cluster is empty for a backend that cannot be used.
	Cluster string
	// Missing says that there is no such cluster: requests are answered 503, as
	// Istio's users know it, until there is one.
	Missing bool
	// Hash is the key by which its endpoints are chosen, or nil.
	Hash *mesh.Hash
}

// Targets finds the target of a backend that is not Invalid, or does not exist.
type Targets func(mesh.Backend) Target

// of finds the target of any backend.
func (f Targets) of(b mesh.Backend) Target {
	if b.Invalid != "" && b.Status != http.StatusServiceUnavailable {
		return Target{}
	}
	return f(b)
}

// RouteConfiguration holds the routes to one destination. Without rules (nil)
// every request goes to the destination itself, whose hash is own; with none of
// them left, every request is answered 404.
func RouteConfiguration(host string, port uint16, rules []mesh.Rule, own *mesh.Hash, targets Targets, kind Kind) *routev3.RouteConfiguration {
	name := HostName(host, port)
	vh := &routev3.VirtualHost{Name: name, Domains: []string{"*"}}
	if rules == nil {
		action := toCluster(ClusterName(host, port), kind)
		action.HashPolicy = hashPolicies(kind, own)
		vh.Routes = []*routev3.Route{{
			Name:   "default",
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: action},
		}}
	}
	for i := range rules {
		vh.Routes = append(vh.Routes, ruleRoutes(i, &rules[i], port, targets, kind)...)
	}
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{vh}}
}

// ruleRoutes makes one route for each alternative match of a rule.
func ruleRoutes(index int, r *mesh.Rule, port uint16, targets Targets, kind Kind) []*routev3.Route {
	name := r.Name
	if name == "" {
		name = "rule-" + strconv.Itoa(index)
	}
	matches := r.Matches
	if len(matches) == 0 {
		matches = []mesh.Match{{}}
	}
	var out []*routev3.Route
	for i := range matches {
		m := &matches[i]
		for _, rm := range routeMatches(m, kind) {
			route := &routev3.Route{
				Name:                    name,
				Match:                   rm,
				RequestHeadersToAdd:     headersToAdd(r.RequestHeaders),
				RequestHeadersToRemove:  r.RequestHeaders.Remove,
				ResponseHeadersToAdd:    headersToAdd(r.ResponseHeaders),
				ResponseHeadersToRemove: r.ResponseHeaders.Remove,
				StatPrefix:              m.StatPrefix,
				TypedPerFilterConfig:    filterConfigs(r, kind),
			}
			if m.Name != "" {
				route.Name = name + "." + m.Name
			}
			if route.StatPrefix == "" {
				route.StatPrefix = r.StatPrefix
			}
			if s := routeMetadata(r); len(s.GetFields()) > 0 {
				route.Metadata = metadata(s)
			}
			switch {
			case r.Redirect != nil:
				route.Action = &routev3.Route_Redirect{Redirect: redirect(r.Redirect, m.Path, port)}
			case r.Direct != nil:
				route.Action = &routev3.Route_DirectResponse{DirectResponse: directResponse(r.Direct.Status, r.Direct.Body)}
			default:
				setAction(route, r, m.Path, targets, kind)
			}
			out = append(out, route)
		}
	}
	return out
}

// setAction sends the requests to the backends by weight, or answers 500 where
// none of them can be used (Gateway API, HTTPBackendRef). Those that are missing
// are named all the same: clients answer 503 for a cluster that there is not.
func setAction(route *routev3.Route, r *mesh.Rule, path mesh.PathMatch, targets Targets, kind Kind) {
	var clusters []*routev3.WeightedCluster_ClusterWeight
	var hashes []*mesh.Hash
	plain, usable, invalid := true, false, false
	for _, b := range r.Backends {
		if b.Weight == 0 {
			continue
		}
		c := &routev3.WeightedCluster_ClusterWeight{
			Name:                    InvalidCluster,
			Weight:                  wrapperspb.UInt32(b.Weight),
			RequestHeadersToAdd:     headersToAdd(b.RequestHeaders),
			RequestHeadersToRemove:  b.RequestHeaders.Remove,
			ResponseHeadersToAdd:    headersToAdd(b.ResponseHeaders),
			ResponseHeadersToRemove: b.ResponseHeaders.Remove,
		}
		if b.Host != "" {
			c.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: b.Host}
		}
		if t := targets.of(b); t.Cluster != "" {
			c.Name, usable = t.Cluster, true
			hashes = append(hashes, t.Hash)
		} else {
			invalid = true
		}
		plain = plain && b.RequestHeaders.IsZero() && b.ResponseHeaders.IsZero() && b.Host == ""
		clusters = append(clusters, c)
	}
	if !usable {
		route.Action = &routev3.Route_DirectResponse{DirectResponse: directResponse(500, "no backend can be used\n")}
		return
	}
	var action *routev3.RouteAction
	if len(clusters) == 1 && plain {
		action = toCluster(clusters[0].Name, kind)
	} else {
		action = toCluster("", kind)
		action.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{Clusters: clusters}}
	}
	if invalid && kind == Envoy {
		action.ClusterNotFoundResponseCode = routev3.RouteAction_INTERNAL_SERVER_ERROR
	}
	action.HashPolicy = hashPolicies(kind, hashes...)
	setTimeouts(action, r)
	action.RetryPolicy = retryPolicy(r, len(action.HashPolicy) > 0, kind)
	setRewrite(action, r.Rewrite, path, kind)
	action.RequestMirrorPolicies = mirrors(r.Mirrors, targets, kind)
	route.Action = &routev3.Route_Route{Route: action}
}

func toCluster(name string, kind Kind) *routev3.RouteAction {
	a := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name}}
	if kind == Envoy {
		// Envoy would cut requests after 15 s.
		a.Timeout = durationpb.New(0)
	}
	return a
}

// originName is kind namespace/name, without the place in a file: moving an
// object within its file changes no route.
func originName(o mesh.Origin) string {
	if o.Name == "" {
		return ""
	}
	return fmt.Sprintf("%s %s/%s", o.Kind, o.Namespace, o.Name)
}

// headersToAdd are what to set, then what to add. In their values Envoy reads a
// percent sign as the beginning of a command, and two as one.
func headersToAdd(h mesh.HeaderChanges) []*corev3.HeaderValueOption {
	var out []*corev3.HeaderValueOption
	option := func(f mesh.Header, action corev3.HeaderValueOption_HeaderAppendAction) {
		out = append(out, &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: f.Name, Value: strings.ReplaceAll(f.Value, "%", "%%")}, AppendAction: action})
	}
	for _, f := range h.Set {
		option(f, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)
	}
	for _, f := range h.Add {
		option(f, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD)
	}
	return out
}
