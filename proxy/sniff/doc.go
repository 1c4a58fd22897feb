// Package sniff tells protocols by the first bytes of a connection. It only
// looks; nothing is consumed.
package sniff
