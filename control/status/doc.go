// Package status writes back what became of HTTPRoutes (Gateway API,
// HTTPRouteStatus). One replica does it, chosen by a lease; entries of other
// controllers are left as they are.
package status
