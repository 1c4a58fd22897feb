// Package translate turns the inputs into the mesh: pure functions, one
// package an API family, merged by the one table of precedence.go. Whoever
// loses by it is told.
package translate
