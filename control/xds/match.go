package xds

import (
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weftmesh/weft/mesh"
)

// routeMatches expresses a match. Most clients need one RouteMatch; gRPC knows
// no prefix of whole segments and gets two, or none for what can never match a
// gRPC request.
func routeMatches(m mesh.Match, kind Kind) []*routev3.RouteMatch {
	if kind == GRPC && (len(m.Query) > 0 || m.Method != "" && m.Method != "POST") {
		return nil
	}
	out := pathMatches(m.Path, kind)
	for _, rm := range out {
		if m.Method != "" && kind != GRPC {
			rm.Headers = append(rm.Headers, headerMatch(mesh.ValueMatch{Name: ":method", Kind: mesh.Exact, Value: m.Method}))
		}
		for _, h := range m.Headers {
			rm.Headers = append(rm.Headers, headerMatch(h))
		}
		for _, q := range m.Query {
			rm.QueryParameters = append(rm.QueryParameters, &routev3.QueryParameterMatcher{
				Name:                         q.Name,
				QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatch(q)},
			})
		}
	}
	return out
}

func pathMatches(p mesh.PathMatch, kind Kind) []*routev3.RouteMatch {
	switch p.Kind {
	case mesh.Exact:
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_Path{Path: p.Value}}}
	case mesh.Regex:
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: p.Value}}}}
	}
	// A trailing slash makes no difference (Gateway API, PathMatchPathPrefix).
	prefix := strings.TrimRight(p.Value, "/")
	switch {
	case prefix == "":
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}}
	case kind == GRPC:
		return []*routev3.RouteMatch{
			{PathSpecifier: &routev3.RouteMatch_Path{Path: prefix}},
			{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix + "/"}},
		}
	}
	return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}}}
}

func headerMatch(v mesh.ValueMatch) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: v.Name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: stringMatch(v)}}
}

func stringMatch(v mesh.ValueMatch) *matcherv3.StringMatcher {
	if v.Kind == mesh.Regex {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: v.Value}}}
	}
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: v.Value}}
}
