// Package httproute reads what the HTTPRoutes of the Gateway API and those of
// policy.linkerd.io have in common: matches and their precedence, header
// changes, redirects and timeouts. It is pure; what is wrong is reported.
package httproute
