package xds

import (
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weftmesh/weft/mesh"
)

func directResponse(status uint32, body string) *routev3.DirectResponseAction {
	d := &routev3.DirectResponseAction{Status: status}
	if body != "" {
		d.Body = &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}}
	}
	return d
}

func redirect(r *mesh.Redirect, path mesh.PathMatch, port uint16) *routev3.RedirectAction {
	a := &routev3.RedirectAction{HostRedirect: r.Host, PortRedirect: uint32(r.Port)}
	if r.SamePort && r.Port == 0 {
		a.PortRedirect = uint32(port)
	}
	if r.Scheme != "" {
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: r.Scheme}
	}
	switch {
	case r.Path != "":
		a.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: r.Path}
	case r.PrefixPath != nil:
		if re := emptyPrefix(path, *r.PrefixPath); re != nil {
			a.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: re}
		} else {
			a.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: prefixFor(path, *r.PrefixPath)}
		}
	}
	switch r.Status {
	case 302:
		a.ResponseCode = routev3.RedirectAction_FOUND
	case 303:
		a.ResponseCode = routev3.RedirectAction_SEE_OTHER
	case 307:
		a.ResponseCode = routev3.RedirectAction_TEMPORARY_REDIRECT
	case 308:
		a.ResponseCode = routev3.RedirectAction_PERMANENT_REDIRECT
	}
	return a
}

// setRewrite changes host and path of what is sent. gRPC knows the host alone.
func setRewrite(a *routev3.RouteAction, r *mesh.Rewrite, path mesh.PathMatch, kind Kind) {
	if r == nil {
		return
	}
	if r.Host != "" {
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: r.Host}
	}
	switch {
	case kind == GRPC:
	case r.Regex != "":
		a.RegexRewrite = regexRewrite(r.Regex, r.Substitution)
	case r.Path != "":
		a.RegexRewrite = regexRewrite("^.*$", strings.ReplaceAll(r.Path, `\`, `\\`))
	case r.PrefixPath != nil:
		if re := emptyPrefix(path, *r.PrefixPath); re != nil {
			a.RegexRewrite = re
		} else {
			a.PrefixRewrite = prefixFor(path, *r.PrefixPath)
		}
	}
}

// prefixFor is the replacement of a prefix. One of whole segments is matched
// without its last slash, and replaced without one.
func prefixFor(path mesh.PathMatch, to string) string {
	if path.Kind == mesh.PathPrefix && !path.IsAll() {
		return strings.TrimRight(to, "/")
	}
	return to
}

// emptyPrefix is for a prefix of whole segments that is replaced by nothing:
// one slash must stay (Gateway API, HTTPPathModifier).
func emptyPrefix(path mesh.PathMatch, to string) *matcherv3.RegexMatchAndSubstitute {
	if path.Kind != mesh.PathPrefix || path.IsAll() || strings.Trim(to, "/") != "" {
		return nil
	}
	return regexRewrite("^"+regexp.QuoteMeta(strings.TrimRight(path.Value, "/"))+"/*", "/")
}

func regexRewrite(expression, substitution string) *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: expression}, Substitution: substitution}
}
