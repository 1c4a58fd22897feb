package topology

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports hands out loopback ports that nobody listens on, each once. They lie
// below the range from which kernels take ports for outgoing connections.
type Ports struct{ used map[int]bool }

const firstPort, lastPort = 20000, 30000

// Next returns the number of a free port.
func (p *Ports) Next() (int, error) {
	if p.used == nil {
		p.used = map[int]bool{}
	}
	start := rand.IntN(lastPort - firstPort)
	for i := range lastPort - firstPort {
		n := firstPort + (start+i)%(lastPort-firstPort)
		if p.used[n] {
			continue
		}
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: n})
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			return 0, err
		}
		p.used[n] = true
		return n, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1", firstPort, lastPort)
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
