// Package sidecar makes a process of the proxy's parts: settings from the
// environment, listeners, certificate, configuration, probes, and an orderly
// end that comes after the application's.
package sidecar
