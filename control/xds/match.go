package xds

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/mesh"
)

// routeMatches expresses a match. Most clients need one RouteMatch; gRPC knows
// no prefix of whole segments and gets two, or none for what can never match a
// gRPC request.
func routeMatches(m *mesh.Match, kind Kind) []*routev3.RouteMatch {
	if kind == GRPC && (len(m.Query) > 0 || m.Method != "" && m.Method != "POST" || pseudo(m.Headers)) {
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
			rm.QueryParameters = append(rm.QueryParameters, queryMatch(q))
		}
	}
	return orAbsent(out, m)
}

// maxAlternatives bounds the RouteMatches that one match may come to.
const maxAlternatives = 16

// orAbsent adds alternatives for inverted comparisons that the empty value fits:
// an absent field must hold there, while one that is there and empty must not,
// which one HeaderMatcher cannot say.
func orAbsent(list []*routev3.RouteMatch, m *mesh.Match) []*routev3.RouteMatch {
	for _, h := range m.Headers {
		if !h.Invert || h.Kind == mesh.Present || anything(h) || !holdsEmpty(h) || 2*len(list) > maxAlternatives {
			continue
		}
		for _, rm := range list {
			other := proto.Clone(rm).(*routev3.RouteMatch)
			for i := range other.Headers {
				if other.Headers[i].Name == h.Name && other.Headers[i].InvertMatch {
					other.Headers[i] = headerMatch(mesh.ValueMatch{Name: h.Name, Kind: mesh.Present, Invert: true})
				}
			}
			list = append(list, other)
		}
	}
	return list
}

// anything says whether every value fits, so that presence is what is asked for.
func anything(v mesh.ValueMatch) bool { return v.Kind == mesh.Regex && v.Value == ".*" }

func pseudo(headers []mesh.ValueMatch) bool {
	for _, h := range headers {
		if strings.HasPrefix(h.Name, ":") {
			return true
		}
	}
	return false
}

func pathMatches(p mesh.PathMatch, kind Kind) []*routev3.RouteMatch {
	var sensitive *wrapperspb.BoolValue
	if p.IgnoreCase {
		sensitive = wrapperspb.Bool(false)
	}
	switch p.Kind {
	case mesh.Exact:
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_Path{Path: p.Value}, CaseSensitive: sensitive}}
	case mesh.Regex:
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: p.Value}}}}
	case mesh.StringPrefix:
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: p.Value}, CaseSensitive: sensitive}}
	}
	// A trailing slash makes no difference (Gateway API, PathMatchPathPrefix).
	prefix := strings.TrimRight(p.Value, "/")
	switch {
	case prefix == "":
		return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}}
	case kind == GRPC:
		return []*routev3.RouteMatch{
			{PathSpecifier: &routev3.RouteMatch_Path{Path: prefix}, CaseSensitive: sensitive},
			{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix + "/"}, CaseSensitive: sensitive},
		}
	}
	return []*routev3.RouteMatch{{PathSpecifier: &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: prefix}, CaseSensitive: sensitive}}
}

// headerMatch inverts so that an absent field holds, as withoutHeaders means it.
func headerMatch(v mesh.ValueMatch) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: v.Name, InvertMatch: v.Invert}
	// What fits any value is a question of presence.
	if v.Kind == mesh.Present || anything(v) {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
		return out
	}
	out.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: stringMatch(v)}
	// Envoy compares nothing where the field is absent, unless it is told to
	// take it for empty.
	out.TreatMissingHeaderAsEmpty = v.Invert && !holdsEmpty(v)
	return out
}

// holdsEmpty says whether the empty string fits a comparison.
func holdsEmpty(v mesh.ValueMatch) bool {
	if v.Kind == mesh.Regex {
		re, err := regexp.Compile("^(?:" + v.Value + ")$")
		return err == nil && re.MatchString("")
	}
	return v.Value == ""
}

func queryMatch(v mesh.ValueMatch) *routev3.QueryParameterMatcher {
	if v.Kind == mesh.Present {
		return &routev3.QueryParameterMatcher{Name: v.Name, QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}}
	}
	return &routev3.QueryParameterMatcher{Name: v.Name, QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatch(v)}}
}

func stringMatch(v mesh.ValueMatch) *matcherv3.StringMatcher {
	out := &matcherv3.StringMatcher{IgnoreCase: v.IgnoreCase && v.Kind != mesh.Regex}
	switch v.Kind {
	case mesh.Regex:
		out.MatchPattern = &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: v.Value}}
	case mesh.StringPrefix, mesh.PathPrefix:
		out.MatchPattern = &matcherv3.StringMatcher_Prefix{Prefix: v.Value}
	case mesh.Suffix:
		out.MatchPattern = &matcherv3.StringMatcher_Suffix{Suffix: v.Value}
	default:
		out.MatchPattern = &matcherv3.StringMatcher_Exact{Exact: v.Value}
	}
	return out
}
