// Package scope says what one client of the mesh may see: which services, and
// which of the routes that compete for a service port is its own.
package scope
