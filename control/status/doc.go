// Package status writes back what became of the routes of the Gateway API
// (RouteStatus). One replica does it, chosen by a lease; entries of other
// controllers are left as they are.
package status
