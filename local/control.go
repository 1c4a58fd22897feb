package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/weftmesh/weft/internal/freeport"
)

// Binaries are the programs that a local mesh starts.
type Binaries struct{ Weft, Control, Proxy string }

// FindBinaries looks beside the running program.
func FindBinaries() (Binaries, error) {
	self, err := os.Executable()
	if err != nil {
		return Binaries{}, err
	}
	if self, err = filepath.EvalSymlinks(self); err != nil {
		return Binaries{}, err
	}
	b := Binaries{Weft: self}
	for name, to := range map[string]*string{"weft-control": &b.Control, "weft-proxy": &b.Proxy} {
		*to = filepath.Join(filepath.Dir(self), name)
		if _, err := os.Stat(*to); err != nil {
			return Binaries{}, fmt.Errorf("%s is not beside %s; build both with `make build`", name, self)
		}
	}
	return b, nil
}

// addresses is where the control plane of a folder listens; it stays the same
// over restarts, so that proxies find it again.
type addresses struct {
	XDS   string `json:"xds"`
	Admin string `json:"admin"`
	PID   int    `json:"pid"`
}

// restartDelay is how long a control plane that died stays away. It is long
// enough to see that traffic does not care.
const restartDelay = 5 * time.Second

// control keeps exactly one control plane running for a folder, whoever of
// the folder's users is alive: the one that holds the lock runs it, and when
// that one goes the next takes over.
type control struct {
	folder Folder
	bin    Binaries
	ports  *freeport.Ports
	log    *slog.Logger
}

func (c *control) addressFile() string { return c.folder.state("control.json") }

// ensure returns the address of the folder's control plane once it is ready,
// and keeps it alive until ctx ends.
func (c *control) ensure(ctx context.Context, ended *sync.WaitGroup) (addresses, error) {
	lock, err := os.OpenFile(c.folder.state("control.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return addresses{}, fmt.Errorf("open the lock of the mesh folder: %w", err)
	}
	failed := make(chan error, 1)
	ended.Add(1)
	go func() {
		defer ended.Done()
		defer lock.Close()
		if err := c.keep(ctx, lock); err != nil && ctx.Err() == nil {
			failed <- err
		}
	}()
	wait, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if a, err := c.read(); err == nil && ready(wait, a.Admin) {
			return a, nil
		}
		select {
		case err := <-failed:
			return addresses{}, err
		case <-wait.Done():
			return addresses{}, fmt.Errorf("the control plane is not ready; its log is %s", c.folder.LogFile("control"))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (c *control) read() (addresses, error) {
	var a addresses
	b, err := os.ReadFile(c.addressFile())
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(b, &a)
}

// keep takes the lock, as soon as nobody else has it, and runs the control
// plane for as long as ctx lives, again after each death.
func (c *control) keep(ctx context.Context, lock *os.File) error {
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock the mesh folder: %w", err)
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return nil
		}
	}
	a, err := c.read()
	if err != nil || a.XDS == "" {
		for _, to := range []*string{&a.XDS, &a.Admin} {
			p, err := c.ports.Next()
			if err != nil {
				return err
			}
			*to = loopback(p)
		}
	}
	for {
		p, err := c.folder.start(spec{name: "control", args: []string{c.bin.Control,
			"--source", "file", "--dir", c.folder.Config(), "--cluster-domain", clusterDomain,
			"--issuer-cert", c.folder.state("identity", "issuer.pem"), "--issuer-key", c.folder.state("identity", "issuer-key.pem"),
			"--trust-anchors", c.folder.anchors(), "--token-key", c.folder.tokenKey(),
			"--listen", a.XDS, "--admin-listen", a.Admin, "--webhook-listen", ""}})
		if err != nil {
			return err
		}
		a.PID = p.pid()
		j, err := json.Marshal(a)
		if err == nil {
			err = writeWhole(c.addressFile(), j, 0o600)
		}
		if err != nil {
			p.kill()
			return fmt.Errorf("record the control plane's address: %w", err)
		}
		select {
		case <-ctx.Done():
			p.stop(3 * time.Second)
			return nil
		case <-p.done:
		}
		c.log.Warn("the control plane ended; proxies keep what they have", "exit", p.exitCode(), "restart in", restartDelay.String(), "log", c.folder.LogFile("control"))
		if !sleep(ctx, restartDelay) {
			return nil
		}
	}
}
