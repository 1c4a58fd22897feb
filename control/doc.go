// Package control is the control plane. This package wires its stages together
// and does nothing else:
//
//	source ─► world ─► translate ─► mesh ─► snapshot (scope, xds) ─► push ─► proxies
//	           └── endpoints ───────────────►┘
//	ca ─► signing service, serving certificates, trust bundle ─► snapshot, webhooks
//
// Stages know their neighbours by plain functions and values. Who publishes and
// who reads is visible in control.go.
package control
