package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// acquire makes sure that one caller at a time starts or ends the cluster.
// The lock is the kernel's and goes with its holder, however that ends.
func (l Layout) acquire() (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(l.lock()), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(l.lock(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another process is starting or ending the cluster below %s", l.Root)
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
