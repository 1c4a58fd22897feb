// Package capture records what goes over the pods' network of the test
// cluster, and tells TLS from anything else in it.
package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/weftmesh/weft/e2e/cluster"
)

// Flow is one direction of a TCP connection.
type Flow struct{ Src, Dst netip.AddrPort }

// Capture is what was seen so far.
type Capture struct {
	file *os.File
	done chan struct{}

	mu     sync.Mutex
	flows  map[Flow][]byte
	next   map[Flow]uint32 // sequence number that continues the flow
	frames int
}

// Start records all TCP between pods, from every link on the node, until
// Stop. It needs root.
func Start(c *cluster.Cluster) (*Capture, error) {
	var fd int
	if err := c.Inside(func() error {
		var err error
		// Network byte order, as packet(7) wants it.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
	}); err != nil {
		return nil, err
	}
	s := &Capture{file: os.NewFile(uintptr(fd), "capture"), done: make(chan struct{}), flows: map[Flow][]byte{}, next: map[Flow]uint32{}}
	go s.read()
	return s, nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

func (s *Capture) read() {
	defer close(s.done)
	buf := make([]byte, 1<<17)
	for {
		n, err := s.file.Read(buf)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n == 0 {
			continue
		}
		s.frame(buf[:n])
	}
}

// Stop ends the recording. What was recorded can be read afterwards.
func (s *Capture) Stop() {
	s.file.Close()
	<-s.done
}

// frame notes the payload of a TCP segment between two pods. The same frame
// is seen on several links and may be sent again: only what continues a flow
// is added.
func (s *Capture) frame(b []byte) {
	if len(b) < 14+20 || binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_IP {
		return
	}
	ip := b[14:]
	head, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
	if ip[0]>>4 != 4 || ip[9] != unix.IPPROTO_TCP || head < 20 || len(ip) < head+20 {
		return
	}
	if total == 0 || total > len(ip) { // offloaded segments do not say
		total = len(ip)
	}
	src, dst := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	if !pods.Contains(src) || !pods.Contains(dst) {
		return
	}
	tcp := ip[head:total]
	if len(tcp) < 20 {
		return
	}
	data := int(tcp[12]>>4) * 4
	if data < 20 || data > len(tcp) {
		return
	}
	f := Flow{netip.AddrPortFrom(src, binary.BigEndian.Uint16(tcp)), netip.AddrPortFrom(dst, binary.BigEndian.Uint16(tcp[2:]))}
	seq, payload := binary.BigEndian.Uint32(tcp[4:]), tcp[data:]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames++
	if tcp[13]&2 != 0 { // SYN
		s.next[f] = seq + 1
		return
	}
	next, known := s.next[f]
	if len(payload) == 0 || known && int32(seq-next) < 0 {
		return
	}
	s.next[f] = seq + uint32(len(payload))
	s.flows[f] = append(s.flows[f], payload...)
}

var pods = netip.MustParsePrefix(cluster.PodCIDR)

// Between returns what was sent in each direction between two pods.
func (s *Capture) Between(a, b string) map[Flow][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[Flow][]byte{}
	for f, data := range s.flows {
		x, y := f.Src.Addr().String(), f.Dst.Addr().String()
		if x == a && y == b || x == b && y == a {
			out[f] = bytes.Clone(data)
		}
	}
	return out
}

// Frames is the number of TCP segments that were seen between pods.
func (s *Capture) Frames() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

// Contains says which flows have a text in them.
func (s *Capture) Contains(text string) []Flow {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Flow
	for f, data := range s.flows {
		if bytes.Contains(data, []byte(text)) {
			out = append(out, f)
		}
	}
	return out
}

// String is the flow as source -> destination.
func (f Flow) String() string {
	return f.Src.String() + " -> " + f.Dst.String()
}
