package config

import (
	"reflect"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonfault "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	previousv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weftmesh/weft/proxy/filter"
	"github.com/weftmesh/weft/proxy/http"
	"github.com/weftmesh/weft/proxy/retry"
	"github.com/weftmesh/weft/proxy/route"
)

func fraction(n uint32, d typev3.FractionalPercent_DenominatorType) *typev3.FractionalPercent {
	return &typev3.FractionalPercent{Numerator: n, Denominator: d}
}

// everything is a route with all that a rule can ask for.
func everything() *routev3.Route {
	exact := func(v string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: v}}
	}
	return &routev3.Route{Name: "all", Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/v1/"}, CaseSensitive: wrapperspb.Bool(false),
		Headers: []*routev3.HeaderMatcher{
			{Name: "a", InvertMatch: true, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{IgnoreCase: true, MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "x"}}}},
			{Name: "b", HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: false}},
			{Name: "c", TreatMissingHeaderAsEmpty: true, HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{RangeMatch: &typev3.Int64Range{Start: -5, End: 5}}}},
		QueryParameters: []*routev3.QueryParameterMatcher{{Name: "q", QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}}},
		RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: fraction(10, typev3.FractionalPercent_HUNDRED)}},
		StatPrefix: "stat",
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"weft": structOf("origin", "ServiceProfile a/b", "retry_budget_ratio", "0.2",
			"retry_budget_min_per_second", "10", "retry_budget_ttl", "10s", "response_timeout", "2s", "response_classes", "500-599:fail,404-404:ok")}},
		TypedPerFilterConfig: map[string]*anypb.Any{
			"envoy.filters.http.cors": pack(&corsv3.CorsPolicy{AllowOriginStringMatch: []*matcherv3.StringMatcher{exact("https://a")}, AllowMethods: "GET", MaxAge: "60",
				AllowCredentials: wrapperspb.Bool(true), ForwardNotMatchingPreflights: wrapperspb.Bool(false)}),
			"envoy.filters.http.fault": pack(&faultv3.HTTPFault{
				Delay: &commonfault.FaultDelay{FaultDelaySecifier: &commonfault.FaultDelay_FixedDelay{FixedDelay: durationpb.New(time.Second)}, Percentage: fraction(1, typev3.FractionalPercent_TEN_THOUSAND)},
				Abort: &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_GrpcStatus{GrpcStatus: 14}, Percentage: fraction(7, typev3.FractionalPercent_MILLION)}}),
		},
		RequestHeadersToAdd: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-from", Value: "%DOWNSTREAM_REMOTE_ADDRESS%"}, AppendAction: corev3.HeaderValueOption_ADD_IF_ABSENT}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier:     &routev3.RouteAction_Cluster{Cluster: clusterA},
			Timeout:              durationpb.New(3 * time.Second),
			RegexRewrite:         &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: "^/v1/(.*)$"}, Substitution: `/v2/$\1`},
			HostRewriteSpecifier: &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: "inner:80"},
			RetryPolicy: &routev3.RetryPolicy{RetryOn: "5xx,unavailable", NumRetries: wrapperspb.UInt32(4), PerTryTimeout: durationpb.New(time.Second),
				RetryHostPredicate:   []*routev3.RetryPolicy_RetryHostPredicate{{Name: previousHosts, ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{TypedConfig: pack(&previousv3.PreviousHostsPredicate{})}}},
				RetriableStatusCodes: []uint32{409, 429}, RetryBackOff: &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(time.Millisecond)}, HostSelectionRetryMaxAttempts: 5,
				RetryPriority: &routev3.RetryPolicy_RetryPriority{Name: previousPriorities}},
			RequestMirrorPolicies: []*routev3.RouteAction_RequestMirrorPolicy{{Cluster: clusterB, DisableShadowHostSuffixAppend: true, RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: fraction(50, 0)}}},
			HashPolicy: []*routev3.RouteAction_HashPolicy{
				{Terminal: true, PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: "X-User"}}},
				{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{Cookie: &routev3.RouteAction_HashPolicy_Cookie{Name: "s", Path: "/", Ttl: durationpb.New(0)}}},
				{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true}}},
				{PolicySpecifier: &routev3.RouteAction_HashPolicy_QueryParameter_{QueryParameter: &routev3.RouteAction_HashPolicy_QueryParameter{Name: "u"}}}},
		}}}
}

func TestTrafficRoundTrip(t *testing.T) {
	got, err := readRoutes(apiHost, wire(t, routesWith(apiHost, everything())))
	if err != nil {
		t.Fatal(err)
	}
	u := &got.rules[0]
	share := route.Share(100_000)
	match := route.MatchSpec{Path: route.Prefix, PathValue: "/v1/", IgnoreCase: true, Share: &share,
		Headers: []route.ValueMatch{{Name: "a", Kind: route.HasPrefix, Value: "x", IgnoreCase: true, Invert: true}, {Name: "b", Kind: route.Present, Invert: true},
			{Name: "c", Kind: route.Range, Low: -5, High: 5, MissingIsEmpty: true}},
		Query: []route.ValueMatch{{Name: "q", Kind: route.Present}}}
	if !reflect.DeepEqual(u.match, match) {
		t.Errorf("match:\n got %+v\nwant %+v", u.match, match)
	}
	tr := *u.traffic
	if c := tr.CORS; c == nil || c.Methods != "GET" || c.MaxAge != "60" || !c.Credentials || c.Forward || !c.Origins([]byte("https://a")) || c.Origins([]byte("https://b")) {
		t.Errorf("CORS: %+v", c)
	}
	if w := tr.Rewrite; w == nil || w.Host != "inner:80" || w.Path.Regex.String() != "^/v1/(.*)$" || string(w.Path.Template) != "/v2/$$${1}" || w.Path.Matched != 4 {
		t.Errorf("rewrite: %+v", w)
	}
	tr.CORS, tr.Rewrite = nil, nil
	want := route.Traffic{Timeout: 3 * time.Second, TryTimeout: time.Second, Response: 2 * time.Second,
		Classes: []route.Class{{Min: 500, Max: 599, Failure: true}, {Min: 404, Max: 404}},
		Retry:   &retry.Policy{On: retry.ServerError | retry.Unavailable, Retries: 4, Base: time.Millisecond, Statuses: []uint32{409, 429}, AvoidPrevious: true},
		Delay:   &route.Delay{For: time.Second, Share: 100},
		Abort:   &route.Abort{GRPC: 14, Share: 7},
		Mirrors: []route.Mirror{{Name: clusterB, Share: 500_000}},
		Hash: []route.HashPolicy{{Kind: route.HashHeader, Name: "x-user", Terminal: true}, {Kind: route.HashCookie, Name: "s", Path: "/", Generate: true},
			{Kind: route.HashSource}, {Kind: route.HashQuery, Name: "u"}}}
	if !reflect.DeepEqual(tr, want) {
		t.Errorf("traffic:\n got %+v\nwant %+v", tr, want)
	}
	if u.stat != "stat" || u.budget != (budgetSpec{0.2, 10, 10 * time.Second}) {
		t.Errorf("stat %q, budget %+v", u.stat, u.budget)
	}
	names := map[string]bool{}
	if got.clusterNames(names); !names[clusterB] {
		t.Error("the mirror's cluster is not asked for")
	}
	// A budget outlives another push of the same.
	in := &inputs{listener: &listener{name: apiHost, protocol: HTTP, http: &httpManager{stat: apiHost}}, routes: got, budgets: budgets{}}
	a, err := compile(in, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := compile(in, &Options{})
	if err != nil || a.routes.Rules[0].Traffic.Budget == nil || a.routes.Rules[0].Traffic.Budget != b.routes.Rules[0].Traffic.Budget {
		t.Errorf("budgets differ: %v", err)
	}
}

func TestAnswersRoundTrip(t *testing.T) {
	one := func(r *routev3.Route) *rule {
		t.Helper()
		r.Match = anyPath()
		got, err := readRoutes(apiHost, wire(t, routesWith(apiHost, r)))
		if err != nil {
			t.Fatal(err)
		}
		return &got.rules[0]
	}
	u := one(&routev3.Route{Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{HostRedirect: "h", PortRedirect: 8443, ResponseCode: routev3.RedirectAction_PERMANENT_REDIRECT, StripQuery: true,
		SchemeRewriteSpecifier: &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: true}, PathRewriteSpecifier: &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: "/n/"}}}})
	want := filter.Redirect{Status: 308, Scheme: "https", Host: "h", Port: 8443, StripQuery: true, Path: filter.Path{HasPrefix: true, Prefix: "/n/", Matched: 1}}
	if d := u.traffic.Redirect; d == nil || !reflect.DeepEqual(*d, want) {
		t.Errorf("redirect: %+v", d)
	} else if got := string(d.Location(&http.Request{Authority: []byte("x"), Target: []byte("/a?b")}, "http")); got != "https://h:8443/n/a" {
		t.Errorf("location %s", got)
	}
	u = one(&routev3.Route{Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 503, Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: []byte("later")}}}}})
	if d := u.traffic.Direct; d == nil || d.Status != 503 || string(d.Body) != "later" {
		t.Errorf("direct response: %+v", d)
	}
	to := func(p *routev3.RetryPolicy) *route.Traffic {
		return one(&routev3.Route{Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "c"}, RetryPolicy: p, Timeout: durationpb.New(0)}}}).traffic
	}
	if tr := to(nil); tr != nil {
		t.Errorf("nothing asked for: %+v", tr)
	}
	if tr := to(&routev3.RetryPolicy{NumRetries: wrapperspb.UInt32(0)}); tr == nil || tr.Retry == nil || tr.Retry.Retries != 0 {
		t.Errorf("num_retries 0: %+v", tr)
	}
	if tr := to(&routev3.RetryPolicy{PerTryTimeout: durationpb.New(time.Second)}); tr == nil || tr.Retry != nil || tr.TryTimeout != time.Second {
		t.Errorf("a try timeout alone: %+v", tr)
	}
	if tr := to(&routev3.RetryPolicy{RetryOn: "reset"}); tr == nil || tr.Retry.Retries != 1 {
		t.Errorf("Envoy's one retry: %+v", tr)
	}
}

func TestHTTPFiltersOfAListener(t *testing.T) {
	m := manager("s")
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routesTo("x", map[string]uint32{"c": 1})}
	router := m.HttpFilters[0]
	add := func(f proto.Message) *hcmv3.HttpFilter {
		return &hcmv3.HttpFilter{Name: "f", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(f)}}
	}
	m.HttpFilters = []*hcmv3.HttpFilter{add(&corsv3.Cors{}), add(&faultv3.HTTPFault{}), router}
	if _, err := decodeHTTPManager(wire(t, m)); err != nil {
		t.Error(err)
	}
	m.HttpFilters[1] = add(&faultv3.HTTPFault{Abort: &faultv3.FaultAbort{ErrorType: &faultv3.FaultAbort_HttpStatus{HttpStatus: 500}, Percentage: fraction(1, 0)}})
	if _, err := decodeHTTPManager(wire(t, m)); err == nil {
		t.Error("a fault for every route is accepted and not injected")
	}
}
