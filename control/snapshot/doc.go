// Package snapshot keeps the encoded resources that clients hold. Each distinct
// resource is made and encoded once, and its bytes are shared by all who hold
// it.
//
//	held name ──resolve──► input (pointers into the mesh, endpoint sets)
//	                         │ the same as before: nothing to do
//	                         ▼ else
//	                       make (package xds) ──► bytes, version = hash of them
//	                         │ the same version: nothing to push
//	                         ▼ else
//	                       the name is dirty for the holders whose version it is
//
// A new mesh costs a look at what is held; a changed endpoint set costs a look
// at the few names that it is behind. Nothing is made that nobody holds.
package snapshot
