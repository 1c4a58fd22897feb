// Package tcp carries bytes between two connections without looking at them.
package tcp
