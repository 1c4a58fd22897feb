package local

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// ports hands out loopback ports that nobody listens on. They lie below the
// kernel's ephemeral range, so that no outgoing connection takes one between
// the look and the use.
type ports struct {
	mu   sync.Mutex
	used map[int]bool
}

const firstPort, lastPort = 20000, 30000

func (p *ports) next() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used == nil {
		p.used = map[int]bool{}
	}
	start := rand.IntN(lastPort - firstPort)
	for i := range lastPort - firstPort {
		n := firstPort + (start+i)%(lastPort-firstPort)
		if p.used[n] {
			continue
		}
		l, err := net.Listen("tcp", loopback(n))
		if err != nil {
			continue
		}
		l.Close()
		p.used[n] = true
		return n, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1", firstPort, lastPort)
}

// prefer hands out the wanted port if nobody has it, or else any.
func (p *ports) prefer(port int) int {
	if l, err := net.Listen("tcp", loopback(port)); err == nil {
		l.Close()
		return port
	}
	n, err := p.next()
	if err != nil {
		return port // whoever listens there will be told
	}
	return n
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
