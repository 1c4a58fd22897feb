// Package file is the source that reads a folder of Kubernetes-style YAML and
// JSON and watches it: for meshes without Kubernetes, for tests and for tools
// that work offline.
//
//	folder/*.{yaml,yml,json}  folder/*/*.{yaml,yml,json}
//	      │ any change: the whole folder is read again, after a short quiet time
//	      ▼
//	decode (a file at a time, a document at a time) ──problems: file, line, field
//	      ▼
//	last good state of each file ──► difference ──► events
//
// A file that has an error anywhere keeps its last good state as a whole; a
// file that has never been good contributes the objects that can be read.
package file
