// Package app is the application behind the two sidecars: small and the same
// for everybody, so that what differs is the proxies. It counts what it serves
// in a file that others map, so that every load generator is counted alike.
package app
