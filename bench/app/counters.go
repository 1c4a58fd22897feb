package app

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Kind is what a port of the application speaks.
type Kind string

// The ports of the application.
const (
	HTTP Kind = "http" // HTTP/1.1: 1 KiB, or 1 MiB at paths that begin with /1m
	H2   Kind = "h2"   // HTTP/2 with prior knowledge, 1 KiB
	GRPC Kind = "grpc" // unary and streaming echo
	TCP  Kind = "tcp"  // echo; 1 KiB counts as one
	Bulk Kind = "bulk" // 1 MiB for each byte received
)

// Kinds lists all ports in the order of the counters.
func Kinds() []Kind { return []Kind{HTTP, H2, GRPC, TCP, Bulk} }

// counterSize keeps each counter on a cache line of its own.
const counterSize = 64

// Counters says how much was served since the start, by kind.
type Counters struct {
	file *os.File
	mem  []byte
}

// OpenCounters maps the file, which is made if it does not exist.
func OpenCounters(file string) (*Counters, error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the counters: %w", err)
	}
	size := counterSize * len(Kinds())
	if err = f.Truncate(int64(size)); err == nil {
		var mem []byte
		if mem, err = syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED); err == nil {
			return &Counters{f, mem}, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("map the counters: %w", err)
}

// Of returns the counter of a kind.
func (c *Counters) Of(k Kind) *atomic.Uint64 {
	for i, x := range Kinds() {
		if x == k {
			return (*atomic.Uint64)(unsafe.Pointer(&c.mem[i*counterSize]))
		}
	}
	panic("no such kind: " + string(k))
}

// Close unmaps the file; counters got from Of must not be used any more.
func (c *Counters) Close() error {
	err := syscall.Munmap(c.mem)
	c.file.Close()
	return err
}
