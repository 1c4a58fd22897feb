//go:build !amd64 || purego

package aesgcm

type schedule struct{ rounds uint32 }

func capable() bool { return false }

// Nothing calls these where capable says no.

func crypt(*schedule, *byte, *byte, *byte, int, *byte, int, *[16]byte, bool) {
	panic("aesgcm: built without assembly")
}

func expand(*schedule, *byte) { panic("aesgcm: built without assembly") }
