// Package istio is those commands of istioctl that no other tool has: an
// installation that applies itself, its verification, its removal, and the
// check before it. They drive the same code as weft's own commands.
package istio
