// Package problem is the one table of everything that the control plane may
// find wrong with its input: a stable code, how bad it is, and what it means.
// docs/problems.md is made from it.
package problem
