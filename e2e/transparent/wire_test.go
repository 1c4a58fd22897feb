package transparent

import (
	"bytes"
	"errors"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// wire keeps every frame that crosses the bridge.
type wire struct {
	file *os.File
	done chan struct{}
	mu   sync.Mutex
	seen bytes.Buffer
}

// tap begins to listen on all links of a namespace.
func tap(t testing.TB, s *space) *wire {
	t.Helper()
	w := &wire{done: make(chan struct{})}
	if err := s.do(func() error {
		const all = unix.ETH_P_ALL
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all>>8|all<<8&0xff00)
		if err != nil {
			return err
		}
		w.file = os.NewFile(uintptr(fd), "wire")
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20)
	}); err != nil {
		t.Fatal("packet socket:", err)
	}
	go func() {
		defer close(w.done)
		b := make([]byte, 1<<17)
		for {
			n, err := w.file.Read(b)
			if errors.Is(err, os.ErrClosed) {
				return
			}
			w.mu.Lock()
			if n > 0 && w.seen.Len() < 32<<20 {
				w.seen.Write(b[:n])
			}
			w.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		w.file.Close()
		<-w.done
	})
	return w
}

// has says whether a string was seen, within one frame.
func (w *wire) has(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.seen.Bytes(), []byte(s))
}
