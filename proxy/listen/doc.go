// Package listen accepts connections, finds where they were going before the
// redirect, and stops doing so gracefully.
package listen
