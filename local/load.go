package local

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

// load sends requests at a constant rate to the front, from outside the mesh.
type load struct {
	url  string
	rate int
}

// maxInFlight bounds what a stalled front can pile up.
const maxInFlight = 256

// run sends until ctx ends and returns when the last answer is in.
func (l load) run(ctx context.Context) {
	if l.rate <= 0 {
		return
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: maxInFlight}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, maxInFlight)
	tick := time.NewTicker(time.Second / time.Duration(l.rate))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		wg.Add(1)
		go func() {
			defer func() { <-slots; wg.Done() }()
			// The proxies count what comes of it.
			resp, err := client.Get(l.url)
			if err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}()
	}
}
