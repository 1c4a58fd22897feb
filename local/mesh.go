package local

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/weftmesh/weft/internal/freeport"
)

// mesh is one folder's mesh as seen from one of its users.
type mesh struct {
	folder  Folder
	bin     Binaries
	ports   *freeport.Ports
	log     *slog.Logger
	control addresses
}

// join opens the folder and makes sure that its control plane runs for as long
// as ctx lives; ended is done when ours, if it was ours, has ended.
func join(ctx context.Context, ended *sync.WaitGroup, root string, bin Binaries, log *slog.Logger) (*mesh, error) {
	f, err := OpenFolder(root)
	if err != nil {
		return nil, err
	}
	m := &mesh{folder: f, bin: bin, ports: &freeport.Ports{}, log: log}
	c := &control{folder: f, bin: bin, ports: m.ports, log: log}
	m.control, err = c.ensure(ctx, ended)
	return m, err
}

// ready asks a control plane or proxy whether it can work.
func ready(ctx context.Context, admin string) bool {
	_, err := page(ctx, "http://"+admin+"/ready")
	return err == nil
}

// page fetches a small page of one of our own processes.
func page(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: status %d", url, resp.StatusCode)
	}
	return b, err
}

// sleep waits and says whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
