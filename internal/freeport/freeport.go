// Package freeport finds ports of 127.0.0.1 for programs that have to be told
// one before they listen.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// first and last bound the ports given out. They lie below the range from which
// kernels take ports for outgoing connections, so that none of those takes a
// port between the look and the use.
const first, last = 20000, 30000

// Ports hands out ports that nobody listens on, each once. The zero value is
// ready, for use by any goroutine.
type Ports struct {
	mu   sync.Mutex
	used map[int]bool
}

// Next returns a free port.
func (p *Ports) Next() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used = map[int]bool{}
	}
	start := rand.IntN(last - first)
	for i := range last - first {
		n := first + (start+i)%(last-first)
		if !p.used[n] && free(n) {
			p.used[n] = true
			return n, nil
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1", first, last)
}

// Prefer returns the wanted port if nobody listens there, or else any free one.
func (p *Ports) Prefer(port int) int {
	if free(port) {
		return port
	}
	n, err := p.Next()
	if err != nil {
		return port // whoever listens there will be told
	}
	return n
}

func free(port int) bool {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return false
	}
	return l.Close() == nil
}
