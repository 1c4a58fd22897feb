// Package accessformat reads the formats of access logs: Envoy's text with
// command operators between percent signs (%RESPONSE_CODE%, %REQ(name?other):9%,
// %START_TIME(%Y-%m-%d)%; %% is a percent sign). The control plane checks with
// it what users write, and the proxy compiles it; what a command is worth in a
// line is the proxy's business.
package accessformat
